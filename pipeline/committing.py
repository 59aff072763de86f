"""When and how offsets are committed: what the group asks, for either guarantee."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pipeline.batch import NEVER_NS
from pipeline.clock import NS_PER_MS, Instant
from pipeline.hand_over import CommitPolicy
from pipeline.kafka.consumer import CommitResult, LaneConsumer
from pipeline.kafka.librdkafka import ERR_TIMED_OUT, KafkaError
from pipeline.kafka.wake import Wake
from pipeline.offsets import Commits, Watermarks
from pipeline.transactional_outlet import TransactionalOutlet
from pipeline.transactions import Transactions

_WAIT_MS = 5


class Committer(Protocol):
    """Commits what may be committed. One thread calls everything."""

    @property
    def committed(self) -> dict[Any, int]:
        """Partition -> the offset that the cluster has confirmed; the group enters what it holds at an assignment."""
        ...

    def due_ns(self) -> int:
        """When `commit` next has something to do, as far as is known."""
        ...

    def commit(self, now_ns: int, *, urgent: bool) -> None:
        """Begin to commit, when it is time; `urgent` when partitions wait to be given up."""
        ...

    def finish(self) -> None:
        """Commit all that is finished and wait for the answer. Raises KafkaError when there is none in time."""
        ...

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:
        """Before a revoke is answered: commit what is finished, or with `lost` see that nothing of it is committed.

        Raises KafkaError when the cluster does not answer in time.
        """
        ...

    def forget(self, partitions: frozenset[Any]) -> None:
        """The partitions are gone."""
        ...

    def answered(self, result: CommitResult) -> None:
        """How a commit by the consumer ended."""
        ...


class OffsetCommitter:
    """At least once: the consumer commits watermarks, which move when outcomes are delivered."""

    def __init__(
        self, consumer: LaneConsumer, watermarks: Watermarks[Any], commits: Commits[Any], request_ms_max: int
    ) -> None:
        self._consumer = consumer
        self._watermarks = watermarks
        self._commits = commits
        self._request_ms_max = request_ms_max
        self.committed: dict[Any, int] = {}

    def due_ns(self) -> int:
        """A turn comes soon enough for offsets: nobody waits for them."""
        return NEVER_NS

    def commit(self, now_ns: int, *, urgent: bool) -> None:  # noqa: ARG002 - the last ones are committed by `give_up`
        """Commit the watermarks that have moved, when it is time."""
        offsets = self._commits.take(self._watermarks, now_ns)
        if offsets:
            self._consumer.commit(offsets)

    def finish(self) -> None:
        """Commit all watermarks and wait for the answer."""
        offsets = self._commits.take(self._watermarks, 0, force=True)
        if offsets:
            self._consumer.commit_sync(offsets, self._request_ms_max)
            self._confirmed(offsets)

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:  # noqa: ARG002 - all are committed
        """Commit what is finished, unless another may have the partitions already."""
        if not lost:
            self.finish()

    def forget(self, partitions: frozenset[Any]) -> None:
        """Drop partitions that were revoked or lost."""
        for partition in partitions:
            self._commits.forget(partition)
            self.committed.pop(partition, None)

    def answered(self, result: CommitResult) -> None:
        """Offer again what did not go through."""
        if result.error is None:
            self._confirmed(result.offsets)
        else:
            for partition in result.offsets:
                self._commits.failed(partition)

    def _confirmed(self, offsets: Mapping[Any, int]) -> None:
        for partition, offset in offsets.items():
            self.committed[partition] = max(offset, self.committed.get(partition, 0))


class TransactionCommitter:
    """Exactly once: the transaction that outcomes were handed over in takes the offsets with it."""

    def __init__(
        self,
        consumer: LaneConsumer,
        outlet: TransactionalOutlet,
        transactions: Transactions,
        policy: CommitPolicy,
        request_ms_max: int,
        wake: Wake,
        instant: Callable[[], Instant],
    ) -> None:
        self._consumer = consumer
        self._outlet = outlet
        self._transactions = transactions
        self._policy = policy
        self._request_ms_max = request_ms_max
        self._wake = wake
        self._instant = instant
        self._aborts = 0

    @property
    def committed(self) -> dict[Any, int]:
        """By transactions, and by the group's word at an assignment."""
        return self._transactions.committed

    def due_ns(self) -> int:
        """When the open transaction is to be committed; the end of one that is being committed rings."""
        if self._outlet.unsent:
            return self._instant().mono_ns + NS_PER_MS  # room in a producer's queue does not ring
        return self._policy.due_ns if self._transactions.rows and not self._transactions.busy else NEVER_NS

    def commit(self, now_ns: int, *, urgent: bool) -> None:
        """Begin to commit or abort the open transaction, when it is time."""
        transactions = self._transactions
        if transactions.busy:
            return
        if transactions.aborts != self._aborts:
            self._aborts = transactions.aborts
            self._policy.aborting(now_ns)
        if transactions.spoilt is not None or self._policy.due(transactions.rows, now_ns, urgent=urgent):
            self._end(now_ns)

    def _end(self, now_ns: int) -> None:
        """Begin to commit what is open, or to abort it where it must be."""
        if self._transactions.spoilt is not None:
            self._transactions.abort(self._transactions.spoilt)
        elif self._transactions.rows and not self._outlet.unsent:
            self._policy.begun(now_ns)
            # As the group is now: of a generation that is over, the broker refuses all.
            self._transactions.commit(self._consumer.group_metadata())

    def finish(self) -> None:
        """Commit what was handed over and wait."""
        self._wait()
        self._end(self._instant().mono_ns)
        self._wait()

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:
        """Commit what was handed over, unless lost; what holds outcomes of these partitions after that is aborted.

        A later commit would go with the group's next generation: the broker would take these offsets, though the
        partitions are another's by then.
        """
        if lost:
            self._wait()
        else:
            self.finish()
        if self._transactions.holds(partitions):
            self._transactions.abort("its partitions were given up")
            self._wait()

    def _wait(self) -> None:
        """Until the transaction that is being ended has ended; what failed is taken in meanwhile."""
        until_ns = self._instant().mono_ns + self._request_ms_max * NS_PER_MS
        while self._transactions.busy:
            now = self._instant()
            self._outlet.take_reports()
            self._outlet.take_end(now)
            if self._transactions.busy:
                if now.mono_ns > until_ns:
                    raise KafkaError(ERR_TIMED_OUT, f"a transaction has not ended within {self._request_ms_max} ms")
                self._wake.wait(_WAIT_MS)

    def forget(self, partitions: frozenset[Any]) -> None:
        """Drop partitions that were revoked or lost."""
        for partition in partitions:
            self.committed.pop(partition, None)

    def answered(self, result: CommitResult) -> None:
        """The consumer commits nothing here."""
