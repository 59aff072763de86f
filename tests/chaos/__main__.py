"""One chaos run by hand: `python -m tests.chaos kills --events 2000000 --times 100 --guarantee exactly_once`."""

import argparse
import tempfile
from pathlib import Path

from pipeline.kafka.broker import JarBroker
from pipeline.kafka.jar_cluster import JarCluster
from tests.chaos.events import Plan
from tests.chaos.ground import AT_LEAST_ONCE, EXACTLY_ONCE, Ground, How
from tests.chaos.runs import come_and_go, kill_brokers, kill_processes, share


def main() -> None:
    """Run it on a broker, or three, of its own; tells what was found, or fails with what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", choices=("kills", "storm", "brokers", "share"))
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--history", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=5, help="Kills, moves, or processes that share.")
    parser.add_argument("--every-s", type=float, default=2.0, help="Seconds between moves.")
    parser.add_argument("--guarantee", choices=(AT_LEAST_ONCE, EXACTLY_ONCE), default=AT_LEAST_ONCE)
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument("--seed", type=int, default=1, help="Of the moments; the events are always the same.")
    arguments = parser.parse_args()
    plan = Plan(events=arguments.events, history=arguments.history)
    how = How(arguments.guarantee, tuple(arguments.assignments), lambda line: print(line, flush=True))  # noqa: T201
    folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
    if arguments.run == "brokers":
        with JarCluster(3) as cluster:
            ground = Ground(cluster.bootstrap, plan, how, folder, replication=3)
            kill_brokers(ground, cluster)
    else:
        with JarBroker() as broker:
            ground = Ground(broker.bootstrap, plan, how, folder)
            if arguments.run == "storm":
                come_and_go(ground, arguments.times, arguments.every_s, arguments.seed)
            else:
                ground.send_storm()
                if arguments.run == "kills":
                    kill_processes(ground, arguments.times, arguments.seed)
                else:
                    share(ground, arguments.times)


if __name__ == "__main__":
    main()
