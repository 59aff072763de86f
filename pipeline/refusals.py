"""Which of the messages that a broker refused can never be delivered. Pure."""

from collections.abc import Mapping

from pipeline.kafka.librdkafka import ERR_MSG_SIZE_TOO_LARGE

REFUSALS = frozenset({2, 4, ERR_MSG_SIZE_TOO_LARGE, 18, 29, 32, 43, 44, 87})
"""The broker's word on a message that it will never take: INVALID_MSG, INVALID_MSG_SIZE, MSG_SIZE_TOO_LARGE,
RECORD_LIST_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED, INVALID_TIMESTAMP, UNSUPPORTED_FOR_MESSAGE_FORMAT,
POLICY_VIOLATION, INVALID_RECORD. After any other error the same bytes are published again."""


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
