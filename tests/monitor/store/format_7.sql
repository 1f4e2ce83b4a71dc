PRAGMA application_id=1685218932;
PRAGMA user_version=7;
BEGIN TRANSACTION;
CREATE TABLE audit (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, entry BLOB NOT NULL);
CREATE TABLE audit_anchor (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE delivery (seq INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, id TEXT NOT NULL,
                       subject TEXT NOT NULL, notice INTEGER NOT NULL REFERENCES notice (seq),
                       created INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
                       status TEXT NOT NULL DEFAULT 'pending', sum INTEGER NOT NULL DEFAULT 0, UNIQUE (id, target));
INSERT INTO "delivery" VALUES(1,'pager','a','churn/3/drift',1,1795435200000000000,1795435800000000000,1,'pending',1608158641);
INSERT INTO "delivery" VALUES(2,'trainer','a','churn/3/drift',1,1795435200000000000,1795435200000000000,1,'delivered',820863388);
INSERT INTO "delivery" VALUES(3,'pager','b','churn/3/drift',2,1795435200000000000,9223372036854775807,0,'pending',1265891660);
INSERT INTO "delivery" VALUES(4,'pager','c','fraud/1/drift',3,1795435200000000000,1795435200000000000,0,'pending',414707831);
INSERT INTO "delivery" VALUES(5,'pager','d','churn/3/drift',4,1795435200000000000,9223372036854775807,0,'pending',766124390);
CREATE TABLE notice (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
                     event_time INTEGER NOT NULL, data BLOB, rendered BLOB, sum INTEGER NOT NULL DEFAULT 0);
INSERT INTO "notice" VALUES(1,'a','model.alert.firing','churn/3/drift',1795435200000000000,X'7B2273616964223A2261227D',NULL,2817457089);
INSERT INTO "notice" VALUES(2,'b','model.alert.escalated','churn/3/drift',1795435200000000000,X'7B2273616964223A2262227D',NULL,4140219376);
INSERT INTO "notice" VALUES(3,'c','model.alert.firing','fraud/1/drift',1795435200000000000,X'7B2273616964223A2263227D',NULL,3554431810);
INSERT INTO "notice" VALUES(4,'d','model.alert.resolved','churn/3/drift',1795435200000000000,X'7B2273616964223A2264227D',NULL,2072245414);
CREATE TABLE position (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, sum INTEGER NOT NULL DEFAULT 0,
                       PRIMARY KEY (topic, partition)) WITHOUT ROWID;
INSERT INTO "position" VALUES('predictions',0,12,2191407902);
CREATE TABLE record (kind TEXT, key TEXT, payload BLOB NOT NULL, sum INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, key)) WITHOUT ROWID;
INSERT INTO "record" VALUES('series','churn/3',X'0102',484737551);
CREATE TABLE standing (target TEXT, place TEXT, series TEXT NOT NULL, incident TEXT NOT NULL, is_open INTEGER NOT NULL,
                       first INTEGER NOT NULL, said INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
                       subject TEXT NOT NULL, event_time INTEGER NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL DEFAULT 0,
                       PRIMARY KEY (target, place)) WITHOUT ROWID;
CREATE TABLE topic (name TEXT PRIMARY KEY, id TEXT NOT NULL, sum INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
INSERT INTO "topic" VALUES('predictions','t1',3469047546);
CREATE TABLE verified (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, sum INTEGER NOT NULL,
                       PRIMARY KEY (topic, partition)) WITHOUT ROWID;
INSERT INTO "verified" VALUES('predictions',0,9,3675909309);
CREATE INDEX delivery_subject ON delivery (target, subject, seq) WHERE status = 'pending';
CREATE INDEX delivery_notice ON delivery (notice);
CREATE TRIGGER notice_added AFTER INSERT ON notice BEGIN
    UPDATE notice SET sum = checksum(NEW.seq, NEW.id, NEW.type, NEW.subject, NEW.event_time, NEW.data, NEW.rendered) WHERE (seq) = (NEW.seq); END;
CREATE TRIGGER notice_changed AFTER UPDATE OF seq, id, type, subject, event_time, data, rendered ON notice BEGIN
    UPDATE notice SET sum = checksum(NEW.seq, NEW.id, NEW.type, NEW.subject, NEW.event_time, NEW.data, NEW.rendered) WHERE (seq) = (NEW.seq); END;
CREATE TRIGGER delivery_added AFTER INSERT ON delivery BEGIN
    UPDATE delivery SET sum = checksum(NEW.seq, NEW.target, NEW.id, NEW.subject, NEW.notice, NEW.created, NEW.due, NEW.attempts, NEW.status) WHERE (seq) = (NEW.seq); END;
CREATE TRIGGER delivery_changed AFTER UPDATE OF seq, target, id, subject, notice, created, due, attempts, status ON delivery BEGIN
    UPDATE delivery SET sum = checksum(NEW.seq, NEW.target, NEW.id, NEW.subject, NEW.notice, NEW.created, NEW.due, NEW.attempts, NEW.status) WHERE (seq) = (NEW.seq); END;
CREATE TRIGGER standing_added AFTER INSERT ON standing BEGIN
    UPDATE standing SET sum = checksum(NEW.target, NEW.place, NEW.series, NEW.incident, NEW.is_open, NEW.first, NEW.said, NEW.id, NEW.type, NEW.subject, NEW.event_time, NEW.data) WHERE (target, place) = (NEW.target, NEW.place); END;
CREATE TRIGGER standing_changed AFTER UPDATE OF target, place, series, incident, is_open, first, said, id, type, subject, event_time, data ON standing BEGIN
    UPDATE standing SET sum = checksum(NEW.target, NEW.place, NEW.series, NEW.incident, NEW.is_open, NEW.first, NEW.said, NEW.id, NEW.type, NEW.subject, NEW.event_time, NEW.data) WHERE (target, place) = (NEW.target, NEW.place); END;
CREATE INDEX delivery_due ON delivery (target, seq, due) WHERE status = 'pending' AND due < 9223372036854775807;
CREATE INDEX delivery_age ON delivery (target, created) WHERE status = 'pending';
CREATE INDEX delivery_ended ON delivery (status, seq) WHERE status <> 'pending';
CREATE INDEX delivery_said ON delivery (target, subject, seq) WHERE status <> 'pending';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('notice',4);
INSERT INTO "sqlite_sequence" VALUES('delivery',5);
COMMIT;
