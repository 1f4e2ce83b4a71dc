# driftd. `make` alone prints this list.
PYTHON ?= python3
ROUNDS ?= 10
SEEDS = --randomly-seed=$(or $(SEED),1) --hypothesis-seed=$(or $(SEED),1)
WORKERS = --numprocesses=auto --maxprocesses=8 --dist=loadfile
BIN := .venv/bin
STAMP := .venv/.installed
COMPILED := .venv/.compiled
FUZZING := .venv/.fuzzing
KERNELS := $(wildcard detectors/*/_*.[ch]pp monitor/sources/_*.[ch]pp monitor/sources/kafka/_*.[ch]pp monitor/sources/formats/*/_*.[ch]pp)

.DEFAULT_GOAL := help
ifndef BESIDE  # what CI lets `test` run beside each other
.NOTPARALLEL:
endif
.PHONY: help setup demo test test-parallel test-servers test-serial test-seeds check schedules sanitize format bench bench-alarms bench-alarms-short streams kills kafka-errors exactly-once replicas targets parts lock dashboards clean formats fuzz-tensors serving spark debezium fuzz-protobuf kills-halves fuzz-avro fuzz-arrow fuzz-step kills-verified failpoints network-faults broker-faults soak sbom advisories fuzz simulation walks

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(COMPILED)  ## make .venv from the hash-locked requirements, and the compiled parts

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "driftd needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=python3.11" >&2; exit 2; }
	@echo "setting up .venv (once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(COMPILED): $(STAMP) hatch_build.py $(KERNELS)
	@if $(BIN)/python hatch_build.py; then touch $(COMPILED); fi

demo: setup  ## drift found, paged and delivered on this machine within a minute, nothing installed
	@$(BIN)/driftd demo

test: setup  ## the tests, by a worker a core, then those with servers (beside them in CI), then the serial ones; says what it skipped and how to install it
	@status=0; $(MAKE) --no-print-directory --keep-going $(BESIDE) test-parallel test-servers || status=$$?; \
	  $(MAKE) --no-print-directory test-serial && exit $$status

test-parallel: setup  ## of them those that share nothing: most
	@$(if $(BESIDE),nice -n 5) $(BIN)/python -m pytest $(SEEDS) $(WORKERS) -m "not serial and not servers"

test-servers: setup  ## of them those that start brokers, daemons or browsers, and wait more than they work: three files at a time
	@$(BIN)/python -m pytest $(SEEDS) --numprocesses=3 --dist=loadfile --no-loadscope-reorder -m servers --durations=15

test-serial: setup  ## of them those that count threads, or measure memory or time: one after the other
	@$(BIN)/python -m pytest $(SEEDS) -m serial

test-seeds: setup  ## the tests that draw, ROUNDS times with new seeds, several minutes each; fails if one failed
	@.ci/test-seeds $(ROUNDS)

check: setup  ## lint, format, types, dependency rule: what CI runs before the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -p no:randomly tests/test_docs.py

schedules: setup  ## one log read in 10 000 random ways, each giving the same facts, about ten minutes
	@$(BIN)/python -m tests.monitor.pipeline.test_schedules 10000 $(or $(SEED),1)

streams: setup  ## performance by 1 000 random streams of predictions and labels, each metric that of its definition (and scikit-learn's where installed), some minutes
	@$(BIN)/python -m tests.monitor.pipeline.test_label_streams 1000 $(or $(SEED),1)

kills: setup  ## predictions and labels through a daemon that is killed a hundred times, some minutes
	@KILLS=100 $(BIN)/python -m pytest -q --timeout=3600 tests/integration/test_labels.py

kills-halves: setup  ## requests and responses through a daemon that is killed fifty times while halves wait, some minutes
	@KILLS=50 $(BIN)/python -m pytest -q --timeout=3600 tests/integration/test_halves.py

kafka-errors: setup  ## every error code to every request of the reader, on librdkafka's mock cluster, some minutes
	@ERRORS=all $(BIN)/python -m pytest -q -p no:randomly --timeout=900 tests/integration/test_kafka_errors.py

kills-verified: setup  ## a daemon under load killed KILLS times (500), twenty minutes; a verifier of its own decides, and writes build/kills-verified.json
	@mkdir -p build && KILLS=$(or $(KILLS),500) KILLS_REPORT=$(CURDIR)/build/kills-verified.json $(BIN)/python -m pytest -q -p no:randomly -k ahead tests/integration/test_kills.py

simulation: setup  ## the daemon on a simulated clock, broker, disk and HTTP, SIMULATIONS of them (100000) from SEED on, hours: build/simulation.json; one: python -m tests.simulation --seed N
	@mkdir -p build && $(BIN)/python -m tests.simulation --seeds $(or $(SEED),1) $(or $(SIMULATIONS),100000) --json build/simulation.json

walks: setup  ## alerts, outbox, sketches and watermark beside their models, a hundred times as long as CI, an hour
	@WALKS=$(or $(WALKS),100) $(BIN)/python -m pytest -q --timeout=36000 tests/properties/test_alerts.py tests/properties/test_outbox_queue.py tests/properties/test_sketches.py tests/properties/test_watermark.py

failpoints: setup  ## every step of saving, delivering and migrating crashes, raises, hangs and fills the disk (root), ten minutes: build/failpoints.json
	@mkdir -p build && FAILPOINTS=all FAILPOINTS_REPORT=$(CURDIR)/build/failpoints.json $(BIN)/python -m pytest -q -p no:randomly tests/integration/test_failpoints.py

network-faults: setup  ## every fault of a TCP proxy before Apache Kafka and before a webhook's receiver, TIMES (5) times each, half an hour: build/network-faults.json
	@mkdir -p build && FAULTS=network FAULTS_TIMES=$(or $(TIMES),5) FAULTS_REPORT=$(CURDIR)/build/network-faults.json $(BIN)/python -m pytest -q -p no:randomly tests/integration/test_faults.py

broker-faults: setup  ## Apache Kafka stopped and killed TIMES (25) times each by SASL and TLS, paused for up to two minutes as driftd is, three nodes restarted in turn, forty minutes: build/broker-faults.json
	@mkdir -p build && FAULTS=broker FAULTS_TIMES=$(or $(TIMES),25) FAULTS_REPORT=$(CURDIR)/build/broker-faults.json $(BIN)/python -m pytest -q -p no:randomly tests/integration/test_faults.py

soak: setup  ## MINUTES (60) at half of a core on Apache Kafka, beside it a kill every ten minutes; memory, descriptors, threads, series: build/soak.json
	@mkdir -p build && SOAK_MINUTES=$(or $(MINUTES),60) SOAK_REPORT=$(CURDIR)/build/soak.json $(BIN)/python -m pytest -q -p no:randomly tests/integration/test_soak.py

replicas: setup  ## three replicas on Apache Kafka beside one process, KILLS (10) times the busiest is killed: the same windows and notices; some minutes
	@REPLICA_KILLS=$(or $(KILLS),10) $(BIN)/python -m pytest -q -p no:randomly --timeout=1800 tests/integration/test_replicas.py

exactly-once: setup  ## ten drawn days of one incident at every target: eight kills a day, receivers away, answers lost; about twenty minutes
	@DAYS=$(or $(DAYS),10) $(BIN)/python -m pytest -q -p no:randomly --timeout=900 tests/integration/test_exactly_once.py

targets: setup  ## decisions delivered to real Airflow, Dagster, MLflow and Prefect servers, and to moto: installs them (2 GB), some minutes
	@PYTHONPATH=. $(BIN)/python -m tests.parts.servers .parts/servers
	@TARGET_SERVERS=$(CURDIR)/.parts/servers $(BIN)/python -m pytest -p no:randomly --timeout=1800 tests/integration/test_target_servers.py tests/integration/test_mlflow_loop.py

serving: setup  ## the examples of driftd.emit in real BentoML and MLServer servers: installs them (700 MB), a minute
	@PYTHONPATH=. $(BIN)/python -m tests.parts.serving .parts/serving
	@SERVING=$(CURDIR)/.parts/serving $(BIN)/python -m pytest -q -p no:randomly tests/integration/test_serving_examples.py

spark: setup  ## driftd.spark on a real Spark in local mode, and the example with Dask (Java 17): installs them (500 MB), some minutes
	@$(BIN)/python -m tests.parts.spark .parts/spark
	@SPARK=$(CURDIR)/.parts/spark $(BIN)/python -m pytest -q -p no:randomly --timeout=540 tests/integration/test_spark.py

debezium: setup  ## what is recorded of Debezium, made again by it and PostgreSQL 15 (root, Java 17, Maven), two minutes; fails where it differs
	@$(BIN)/python -m tests.parts.formats.debezium .parts/debezium | cmp - tests/parts/formats/debezium.json

sanitize: setup  ## the compiled parts' tests under GCC's sanitisers, a few minutes
	@.ci/sanitize

$(FUZZING): $(COMPILED) requirements/fuzz.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: $(FUZZING)  ## TARGET (decoder, configuration, reference, state, web, webhook; all) for SECONDS (600) each: what it finds lies in build/fuzz
	@$(BIN)/python -m tests.fuzz.running $(or $(TARGET),all) --seconds $(or $(SECONDS),600)

fuzz-protobuf:  ## ten minutes of damaged messages for the Protobuf reader, under GCC's sanitisers
	@mkdir -p build && g++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/fuzz_protobuf.cpp -o build/fuzz_protobuf
	@end=$$(($$(date +%s) + 600)); seed=$(or $(SEED),1); while [ $$(date +%s) -lt $$end ]; do build/fuzz_protobuf $$seed 200000 || { echo "seed $$seed" >&2; exit 1; }; seed=$$((seed + 1)); done

fuzz-avro:  ## ten minutes of drawn schemas and damaged data for the Avro reader, under GCC's sanitisers
	@mkdir -p build && g++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/fuzz_avro.cpp -o build/fuzz_avro
	@end=$$(($$(date +%s) + 600)); seed=$(or $(SEED),1); while [ $$(date +%s) -lt $$end ]; do build/fuzz_avro $$seed 200000 || { echo "seed $$seed" >&2; exit 1; }; seed=$$((seed + 1)); done

fuzz-arrow:  ## ten minutes of drawn schemas and damaged batches for the Arrow reader, under GCC's sanitisers
	@mkdir -p build && g++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/fuzz_arrow.cpp -o build/fuzz_arrow
	@end=$$(($$(date +%s) + 600)); seed=$(or $(SEED),1); while [ $$(date +%s) -lt $$end ]; do build/fuzz_arrow $$seed 20000 || { echo "seed $$seed" >&2; exit 1; }; seed=$$((seed + 1)); done

fuzz-step:  ## ten minutes of drawn steps of the charts, under GCC's sanitisers
	@mkdir -p build && g++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/fuzz_step.cpp -o build/fuzz_step
	@end=$$(($$(date +%s) + 600)); seed=$(or $(SEED),1); while [ $$(date +%s) -lt $$end ]; do build/fuzz_step $$seed 200000 >/dev/null || { echo "seed $$seed" >&2; exit 1; }; seed=$$((seed + 1)); done

format: setup  ## let ruff mend what it can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

bench: setup $(BIN)/py-spy  ## every benchmark, about 25 minutes: ratios of one run, benchmarks/RESULTS.md and its plots
	@$(BIN)/python benchmarks/run_all.py

bench-alarms: setup  ## false pages and delays on simulated months beside naive rules, within two hours: docs/ALARMS.md
	@$(BIN)/python -m benchmarks.alarms.run

bench-alarms-short: setup  ## three minutes of it, as the tests run it: days for months, without weekend, million, ties-1000, iid-100000
	@$(BIN)/python -m benchmarks.alarms.run --short

$(BIN)/py-spy: $(STAMP) requirements/bench.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

dashboards: setup  ## write grafana/dashboards/*.json from grafana/build.py
	@$(BIN)/python grafana/build.py

parts:  ## install the real parts the tests use: compiler, Kafka's jars, Prometheus, Alertmanager, Chromium, axe-core, helm, kubernetes-validate (Debian, root)
	@.ci/parts

fuzz-tensors: setup  ## ten minutes of damaged tensors at the compiled reader, under the sanitisers
	@mkdir -p build && c++ -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/fuzz_tensors.cpp -o build/fuzz_tensors
	@end=$$(( $$(date +%s) + 600 )); while [ $$(date +%s) -lt $$end ]; do build/fuzz_tensors $$(date +%s%N) 100000 >/dev/null || exit 1; done; echo "nothing found"

damaged-states: setup  ## 10 000 damaged files of a state at its loader: whole, recovered and said, or refused; about twenty minutes
	@DAMAGED_STATES=5000 $(BIN)/python -m pytest -q -p no:xdist tests/monitor/store/test_damage.py -k "silently_another or without_a_backup"

formats:  ## make what is recorded of heavy libraries again, each in an environment of its own; fails where it differs
	@$(BIN)/python -m tests.parts.formats.making

sbom:  ## what a release is made of, from the lock, as CycloneDX: build/sbom.json
	@mkdir -p build && test -x build/.sbom/bin/cyclonedx-py || { $(PYTHON) -m venv --clear build/.sbom && build/.sbom/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0; }
	@build/.sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json requirements/run.txt

advisories:  ## what is known against the locked versions; needs the network of its data
	@mkdir -p build && test -x build/.advisories/bin/pip-audit || { $(PYTHON) -m venv --clear build/.advisories && build/.advisories/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	@build/.advisories/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/run.txt

lock:  ## lock the newest versions that pyproject.toml allows (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade pyproject.toml -o requirements/run.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade pyproject.toml --group dev -o requirements/dev.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group bench -o requirements/bench.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group fuzz -o requirements/fuzz.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group spark -o requirements/spark.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group chart -o requirements/chart.txt

clean:  ## forget .venv, the compiled parts and the caches
	@rm -rf build detectors/sketches/*.so monitor/sources/formats/*/*.so .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
