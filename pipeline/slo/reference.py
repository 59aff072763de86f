"""The reference of the SLO app's tables, written from the models themselves: `python -m pipeline.slo.reference`."""

import sys

from pydantic import BaseModel

from pipeline.config.reference import reference
from pipeline.slo.config import (
    AlertmanagerSection,
    AppSection,
    BurnSection,
    HttpSection,
    PairSection,
    SilenceSection,
    SloSection,
    SloTopics,
    WatchedPipeline,
    WebhookSection,
)

TABLES: dict[str, type[BaseModel]] = {
    "[app]": AppSection,
    "[topics]": SloTopics,
    "[http]": HttpSection,
    "[pipelines.NAME]": WatchedPipeline,
    "[[slos]]": SloSection,
    "[burn]": BurnSection,
    "[[burn.page]], [[burn.ticket]]": PairSection,
    "[alertmanager]": AlertmanagerSection,
    "[webhook]": WebhookSection,
    "[silence]": SilenceSection,
}

if __name__ == "__main__":
    sys.stdout.write(reference(TABLES))
