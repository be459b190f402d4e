"""What every test can rely on, wherever the suite is started."""

import signal

# Started in the background, a process is deaf to Ctrl-C, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
