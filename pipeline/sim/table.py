"""Simulated transactions as a table, labels included: what the shipped models are trained on."""

import numpy as np
import pyarrow as pa

from pipeline.sim.transactions import Population, TransactionSource


def simulated_table(population: Population, days: int, start_ms: int) -> pa.Table:
    """So many days of transactions in time order, with `fraud`, as `headrace train` takes them."""
    source = TransactionSource(population, start_ms).days()
    drawn = [next(source) for _ in range(days)]
    return pa.table(
        {
            "transaction_id": np.concatenate([day.transaction_id for day in drawn]),
            "event_time": pa.array(np.concatenate([day.event_time_ms for day in drawn])).cast(
                pa.timestamp("ms", tz="UTC")
            ),
            "customer_id": np.concatenate([day.customer_id for day in drawn]),
            "terminal_id": np.concatenate([day.terminal_id for day in drawn]),
            "amount": np.concatenate([day.amount_cents for day in drawn]) / 100,
            "fraud": np.concatenate([day.fraud for day in drawn]),
        }
    )
