"""Apache Kafka: the reference for what is promised of loss, duplicates and transactions.

It needs Java 17 and Maven, and is therefore no part of the embedded stack. Run
`python -m tests.support.apache_kafka` for a broker to try things on.
"""

import argparse
import base64
import logging
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from data_emulator.console import console
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.ports import LOOPBACK, PortReservation
from data_emulator.stack.processes import Command, StackError, Supervisor
from data_emulator.stack.server import Server
from tests.support import apache_kafka_jars

_FORMAT_TIMEOUT_S = 60
_POLL_INTERVAL_S = 0.5
_LIBRARY_LOG = logging.getLogger(__name__)
_LIBRARY_LOG.setLevel(logging.CRITICAL)

# Kafka's own start script has these, but for the heap, which is 1 GiB from the start there.
_JAVA_OPTIONS = (
    "-server",
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",  # Compression libraries are unpacked there, and stay after a kill.
    "-XX:-UsePerfData",  # A file in the system's temporary folder otherwise.
    "-Dlog4j2.configurationFile=log4j2.properties",
)
_LOG4J2_PROPERTIES = """\
appender.log.type = Console
appender.log.name = log
appender.log.layout.type = PatternLayout
appender.log.layout.pattern = %d %p %m (%c)%n
rootLogger = WARN, log
"""


class ApacheKafka(Server):
    """An Apache Kafka of one node, broker and controller in one, on `bootstrap_servers`, for this machine only.

    Its files are all in `run_dir`, its records in `run_dir`/data. `ports` are `PORT_COUNT` free ports, the first of
    them for clients. `jars_dir` is what `apache_kafka_jars.fetch` returned.
    """

    PORT_COUNT = 2

    def __init__(
        self, supervisor: Supervisor, *, jars_dir: Path, run_dir: Path, log_path: Path, ports: Sequence[int]
    ) -> None:
        super().__init__(supervisor)
        self.jars_dir = jars_dir
        self._run_dir = run_dir.resolve()
        self._log_path = log_path
        self._client_port, self._controller_port = ports
        self.bootstrap_servers = f"{LOOPBACK}:{self._client_port}"

    def start(self) -> None:
        """Start the broker, on the data of the last time if there was one, and return when it is ready.

        Raises the errors of `Supervisor.start`, and ProgramMissingError when there is no Java.
        """
        self._write_configuration()
        if not (self._run_dir / "data" / "meta.properties").exists():  # The last that formatting writes.
            self._supervisor.run(self._format_command(), timeout_s=_FORMAT_TIMEOUT_S)
        super().start()

    def command(self) -> Command:
        """Return the command line of the broker."""
        return self._java_command("apache-kafka", "kafka.Kafka", "server.properties")

    def is_ready(self) -> bool:
        """Tell whether the broker lists itself, which it does when it takes requests from clients."""
        # Otherwise the client logs every refused connection to standard error.
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_LIBRARY_LOG)
        try:
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def is_running(self) -> bool:
        """Tell whether the broker runs, ready or not."""
        return self._child is not None and self._child.is_running()

    def _format_command(self) -> Command:
        # What Kafka takes for a UUID: base64 of its 16 bytes. One that begins with a dash would be taken for an option.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        return self._java_command(
            "apache-kafka-format",
            *("kafka.tools.StorageTool", "format", "--standalone"),
            *("--cluster-id", cluster_id, "--config", "server.properties"),
        )

    def _java_command(self, name: str, *arguments: str) -> Command:
        class_path = apache_kafka_jars.class_path(self.jars_dir)
        return Command(
            name=name,
            argv=(str(apache_kafka_jars.java_path()), *_JAVA_OPTIONS, "-cp", class_path, *arguments),
            log_path=self._log_path,
            cleared_prefixes=("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"),
            cwd=self._run_dir,  # The paths in the configuration are relative to it.
            outlives_others=True,
        )

    def _write_configuration(self) -> None:
        (self._run_dir / "tmp").mkdir(parents=True, exist_ok=True)
        (self._run_dir / "log4j2.properties").write_text(_LOG4J2_PROPERTIES)
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": "data",
            # Kafka's own topics: by default three copies, on as many brokers, and 50 partitions that take time to make.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "3",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "3",
            "group.initial.rebalance.delay.ms": "0",
            # A broker that was killed is not let back in before its old session is over: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        (self._run_dir / "server.properties").write_text(text)


def run(port: int | None) -> int:
    """Run a broker on `port`, or a free one, until a signal comes; throw its data away; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="apache-kafka-") as run_dir:
        supervisor = Supervisor(guarded=True)
        with interrupts_raise():
            try:
                broker = _start(supervisor, Path(run_dir), port)
                console.print(
                    f"Apache Kafka {apache_kafka_jars.version()} answers on {broker.bootstrap_servers}; "
                    "ctrl-C stops it and removes its data.",
                    soft_wrap=True,
                )
                while broker.is_running():
                    time.sleep(_POLL_INTERVAL_S)
                raise StackError("Apache Kafka has ended by itself")
            except StackError as error:
                console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
                return 1
            except Interrupted as interruption:
                return interruption.exit_status
            finally:
                supervisor.stop_all()


def _start(supervisor: Supervisor, run_dir: Path, port: int | None) -> ApacheKafka:
    jars_dir = apache_kafka_jars.fetch(apache_kafka_jars.default_cache_dir())
    with PortReservation(ApacheKafka.PORT_COUNT, [] if port is None else [port]) as reservation:
        ports = reservation.ports
    if port not in (None, ports[0]):
        raise StackError(f"port {port} on {LOOPBACK} is taken: choose another, or leave --port out for a free one")
    broker = ApacheKafka(
        supervisor, jars_dir=jars_dir, run_dir=run_dir, log_path=run_dir / "apache-kafka.log", ports=ports
    )
    broker.start()
    return broker


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is no port: they go from 1 to 65535")
    return port


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.apache_kafka",
        description="Run an Apache Kafka broker of one node on 127.0.0.1 until it is interrupted.",
    )
    parser.add_argument("--port", type=_port, help="port for clients; a free one when left out")
    sys.exit(run(parser.parse_args().port))
