"""`python -m provider_join` is `provider-join`."""

import sys

from provider_join.join import main

sys.exit(main())
