"""The broker restarts, its disk takes no more, the connection is cut: nothing is lost, and the pipeline goes on."""

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hardship import Feed, prepared, running, wait_for
from proxy import Proxy

from pipeline.kafka.broker import JarBroker, free_port, java_problem
from pipeline.kafka.jar_cluster import SMALL_JAVA, JarCluster, Listener
from tests.traffic import configured

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(java_problem() is not None, reason=str(java_problem())),
]
PATIENCE_S = 60.0
EVENTS = 2_000
LAST_WORDS_BYTES = 100_000
SHORT_SESSION = "kafka.consumer.session.timeout.ms=6000"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[JarBroker]:
    with JarBroker(data=tmp_path / "data", java_options=SMALL_JAVA) as made:
        yield made


@pytest.mark.slow
def test_a_broker_that_restarts_costs_no_event(broker: JarBroker) -> None:
    config = prepared(broker.bootstrap, "restart")
    feed = Feed(broker.bootstrap, "transactions-restart")
    with running(config) as pipeline:
        feed.send(EVENTS)
        wait_for(broker.bootstrap, config, feed.sources)
        feed.send(EVENTS)
        broker.kill()
        feed.send(EVENTS, wait=False)
        broker.start()
        feed.finish()
        wait_for(broker.bootstrap, config, feed.sources)
        assert pipeline.stop().drained


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot limit a process that runs")
def test_a_disk_that_takes_no_more_costs_no_event(broker: JarBroker) -> None:
    config = prepared(broker.bootstrap, "disk")
    feed = Feed(broker.bootstrap, "transactions-disk")
    with running(config) as pipeline:
        feed.send(EVENTS)
        wait_for(broker.bootstrap, config, feed.sources)
        assert broker.pid is not None
        # No file may grow beyond this any more: the broker meets what a full disk tells it, an error at a write.
        limit_bytes = broker.log_file.stat().st_size + LAST_WORDS_BYTES
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
        feed.send(8 * EVENTS, wait=False)
        until_s = time.monotonic() + PATIENCE_S
        while broker.pid is not None:
            assert time.monotonic() < until_s, "the broker goes on without a disk"
            time.sleep(0.1)
        assert "File too large" in broker.log_file.read_text(errors="replace")
        broker.start()
        feed.finish()
        wait_for(broker.bootstrap, config, feed.sources)
        assert pipeline.stop().drained


@pytest.mark.parametrize(
    "cut_s", [pytest.param(3.0, marks=pytest.mark.slow), pytest.param(30.0, marks=pytest.mark.soak)]
)
def test_a_connection_that_is_cut_costs_no_event(cut_s: float) -> None:
    port = free_port()
    with JarCluster(1, listeners=[Listener("OUTSIDE", advertised_port=port)]) as cluster:
        proxy = Proxy(port, cluster.port(1, "OUTSIDE"))
        prepared(cluster.bootstrap, "cut")
        config = configured(cluster.address("OUTSIDE"), SHORT_SESSION, suffix="-cut")
        feed = Feed(cluster.bootstrap, "transactions-cut")
        with running(config) as pipeline:
            feed.send(EVENTS)
            wait_for(cluster.bootstrap, config, feed.sources)
            feed.send(EVENTS)
            proxy.cut()
            feed.send(EVENTS)
            time.sleep(cut_s)
            assert pipeline.error is None
            proxy.heal()
            wait_for(cluster.bootstrap, config, feed.sources)
            assert pipeline.stop().drained
        proxy.close()
