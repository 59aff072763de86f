"""Which of the messages that a broker refused can never be delivered. Pure."""

from collections.abc import Mapping

from pipeline.kafka.librdkafka import ERR_MSG_SIZE_TOO_LARGE, OF_THE_RECORD

OF_THE_TOPIC = frozenset({29, 43, 44})
"""A topic's word on whatever is sent to it: TOPIC_AUTHORIZATION_FAILED, UNSUPPORTED_FOR_MESSAGE_FORMAT,
POLICY_VIOLATION."""
NEVER_TAKEN = OF_THE_TOPIC | {31, 53}
"""The same of a whole transaction, with CLUSTER_ and TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the next fares no better.
A right to the group that was lost is waited for, as with plain commits."""
REFUSALS = OF_THE_RECORD | OF_THE_TOPIC
"""After any other error of the broker the same bytes are published again."""


def guilty(refused: Mapping[int, int], length_of: Mapping[int, int]) -> dict[int, int]:
    """Of slot -> code of all that was refused, the slots that were refused for themselves.

    A broker refuses the whole of a batch that is too large. If any message of it is too large alone, the longest
    one is: that one is named here, and the others will show in the next transaction whether they are.
    """
    found = {slot: code for slot, code in refused.items() if code != ERR_MSG_SIZE_TOO_LARGE}
    large = [slot for slot, code in refused.items() if code == ERR_MSG_SIZE_TOO_LARGE]
    if large:
        found[max(large, key=lambda slot: length_of[slot])] = ERR_MSG_SIZE_TOO_LARGE
    return found
