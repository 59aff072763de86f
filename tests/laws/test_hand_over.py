"""What may go into a transaction, and when it commits: laws of exactly-once, without a cluster."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pipeline.hand_over import AFTER_ABORT_NS, CommitPolicy, HandOver
from pipeline.refusals import guilty

PARTITIONS = ("a", "b", "c")


@dataclass(eq=False)
class Run:
    partition: str
    epoch: int
    end: int
    undecided: int
    gone: bool = field(default=False)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(PARTITIONS), st.integers(1, 4)),
        st.tuples(st.just("decide"), st.randoms(use_true_random=False), st.integers(1, 6)),
        st.tuples(st.just("give up"), st.sampled_from(PARTITIONS), st.none()),
        st.tuples(st.just("take"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_runs_leave_whole_and_in_order_and_nothing_of_an_old_epoch_leaves(steps):
    hand_over = HandOver(lambda run: run.undecided == 0)
    opened, left = [], {partition: [] for partition in PARTITIONS}
    epochs, ends = dict.fromkeys(PARTITIONS, 0), dict.fromkeys(PARTITIONS, 0)
    for what, which, many in steps:
        if what == "open":
            ends[which] += many
            opened.append(Run(which, epochs[which], ends[which], many))
            hand_over.opened(opened[-1])
        elif what == "decide":
            open_runs = [run for run in opened if run.undecided]
            for run in which.sample(open_runs, min(many, len(open_runs))):
                run.undecided -= 1
        elif what == "give up":
            for run in opened:
                run.gone |= run.partition == which
            dropped = hand_over.drop(lambda run: run.gone)
            of_epoch = [run for run in opened if run.partition == which and run.epoch == epochs[which]]
            assert dropped == [run for run in of_epoch if run not in left[which]]
            epochs[which] += 1
            ends[which] = 0
        else:
            for run in hand_over.ready():
                assert not run.undecided, "handed over before all of it was decided"
                assert run.epoch == epochs[run.partition], "handed over after its partition was given up"
                left[run.partition].append(run)
    ready = hand_over.ready()
    for partition in PARTITIONS:
        of_epoch = [run for run in opened if run.partition == partition and run.epoch == epochs[partition]]
        taken = [run for run in left[partition] if run.epoch == epochs[partition]]
        assert taken == of_epoch[: len(taken)], "a gap: the offset of the last would commit what never left"
        rest = of_epoch[len(taken) :]
        whole = next((index for index, run in enumerate(rest) if run.undecided), len(rest))
        assert [run for run in ready if run.partition == partition] == rest[:whole], "what could leave waits"


PACE = AFTER_ABORT_NS // 20
INTERVAL = 100 * PACE
TURNS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 50), st.booleans(), st.booleans()), max_size=60)


@given(turns=TURNS, rows_max=st.integers(1, 200))
def test_a_transaction_commits_when_due_and_no_oftener_unless_full_or_waited_for(turns, rows_max):
    policy = CommitPolicy(INTERVAL, rows_max)
    now, rows, begun, aborted = 0, 0, None, None
    for passed, more, urgent, aborts in turns:
        now, rows = now + passed * PACE, rows + more
        due = policy.due(rows, now, urgent=urgent)
        early = begun is not None and now - begun < INTERVAL
        failed = aborted is not None and now - aborted < AFTER_ABORT_NS
        assert due == (rows > 0 and not failed and (urgent or rows >= rows_max or not early))
        assert policy.due(rows, policy.due_ns) == (rows > 0), "the loop sleeps until then at most"
        if aborts:
            policy.aborting(now)
            aborted = now
        elif due:
            policy.begun(now)
            begun, rows = now, 0


@given(refused=st.dictionaries(st.integers(0, 30), st.sampled_from([10, 29, 87]), max_size=10), data=st.data())
def test_of_a_batch_that_is_too_large_only_the_longest_is_buried(refused, data):
    length_of = {slot: data.draw(st.integers(1, 1000)) for slot in range(31)}
    found = guilty(refused, length_of)
    large = {slot for slot, code in refused.items() if code == 10}
    assert {slot: code for slot, code in found.items() if code != 10} == {
        slot: code for slot, code in refused.items() if code != 10
    }
    buried = large & set(found)
    assert len(buried) == bool(large), "an abort must get somewhere, and no further than it knows"
    assert all(length_of[slot] <= length_of[other] for slot in large for other in buried)
