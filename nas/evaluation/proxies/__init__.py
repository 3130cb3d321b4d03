"""Zero-cost proxies: scores of networks that are not trained. One proxy per file, found automatically."""

from nas.evaluation.proxies.proxies import Proxies
from nas.evaluation.proxies.proxy import Proxy
from nas.records import import_all

__all__ = ["Proxies", "Proxy"]

import_all(__name__)
