import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.util.Base64;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Changes of one table as Debezium's engine gives them: a line each, key and value in base64, `-` for none.
 * Arguments: the JDBC address, statements before the snapshot, statements after it, records of the snapshot, records in all, then properties as NAME=VALUE.
 */
public class Changes {
    public static void main(String[] given) throws Exception {
        int ofSnapshot = Integer.parseInt(given[3]), all = Integer.parseInt(given[4]);
        run(given[0], given[1]);
        Properties properties = new Properties();
        for (int place = 5; place < given.length; place++) {
            String[] pair = given[place].split("=", 2);
            properties.setProperty(pair[0], pair[1]);
        }
        AtomicInteger seen = new AtomicInteger();
        CountDownLatch snapshot = new CountDownLatch(1), done = new CountDownLatch(1);
        DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class).using(properties).notifying(event -> {
            if (event.destination() == null || !event.destination().contains("scores")) {
                return;
            }
            System.out.println(encoded(event.key()) + " " + encoded(event.value()));
            int number = seen.incrementAndGet();
            if (number == ofSnapshot) {
                snapshot.countDown();
            }
            if (number == all) {
                done.countDown();
            }
        }).build();
        ExecutorService executor = Executors.newSingleThreadExecutor();
        executor.execute(engine);
        if (!snapshot.await(90, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no snapshot: " + seen);
        }
        Thread.sleep(3000);
        run(given[0], given[2]);
        boolean complete = done.await(60, TimeUnit.SECONDS);
        engine.close();
        executor.shutdown();
        System.exit(complete ? 0 : 3);
    }

    private static void run(String address, String statements) throws Exception {
        try (Connection connection = DriverManager.getConnection(address); Statement statement = connection.createStatement()) {
            for (String each : statements.split(";")) {
                statement.execute(each);
            }
        }
    }

    private static String encoded(String text) {
        return text == null ? "-" : Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }
}
