"""The process around the daemon: locks the data directory, runs the loop, turns failures into exit codes."""

import asyncio
import logging
import os
import resource
import sys
from dataclasses import replace

from exchanges.answers import VenueError
from store.journal import JournalError
from tradingd import mode_switch
from tradingd.api_opening import PortTakenError
from tradingd.auth import CredentialsError
from tradingd.daemon import Daemon
from tradingd.data_dir import AlreadyRunningError, DataDir, DataDirError
from tradingd.doctor import PackageOriginError, check_package_origin
from tradingd.end_guard import END_WITHIN_S, EndGuard
from tradingd.exit_codes import ALREADY_RUNNING, CONFIGURATION, FAILURE, OK
from tradingd.lease import AccountTakenError
from tradingd.life import Life
from tradingd.logs import LogFiles, configure_logging
from tradingd.practice_child import PracticeError
from tradingd.redaction import redact
from tradingd.run_options import RunOptions
from tradingd.secret_sources import secret_variables
from tradingd.settings import Settings
from tradingd.settings_errors import ConfigError

_log = logging.getLogger(__name__)


def run_daemon(settings: Settings, options: RunOptions) -> int:
    """Run until told to stop; returns the exit code. Errors a user can mend become one sentence on stderr."""
    redact.learn_settings(settings)
    configure_logging(settings.log)
    os.umask(0o077)  # journal, tape and credentials are nobody else's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold every secret; children inherit this
    try:
        data_dir = DataDir.open(settings.data_dir)
    except AlreadyRunningError as error:
        return _fail(error, ALREADY_RUNNING)
    except DataDirError as error:
        return _fail(error, CONFIGURATION)
    try:
        check_package_origin()
        log_files = LogFiles(settings.log, data_dir.path)
        try:
            chosen = replace(options, configured_mode=settings.mode)
            daemon = Daemon(mode_switch.as_chosen(settings), chosen, data_dir, log_files)
            code = _run_loop(daemon)
        finally:
            log_files.close()
    except (ConfigError, CredentialsError) as error:
        return _fail(error, CONFIGURATION)
    except (PortTakenError, AccountTakenError) as error:
        return _fail(error, ALREADY_RUNNING)
    except (JournalError, VenueError, PracticeError, PackageOriginError) as error:
        return _fail(error, FAILURE)
    except Exception as error:  # noqa: BLE001 - the last line of a crash-only process: say it and end
        _log.critical("stopped by a failure", exc_info=error)
        return _fail(f"stopped by a failure: {error}. The journal holds the state; start again to go on.", FAILURE)
    finally:
        data_dir.close()
    if daemon.life.is_to_start_again:
        os.environ.update(secret_variables(settings))  # they were wiped after they were read
        mode_switch.start_again()
    return code


def _run_loop(daemon: Daemon, *, end_within_s: float = END_WITHIN_S) -> int:
    """Until it has ended, and everything in its loop; bounded from when the end is asked for."""
    guard = EndGuard(lambda: _code_of_cut_end(daemon.life), within_s=end_within_s)
    daemon.life.on_end = guard.begin
    try:
        import uvloop
    except ImportError:
        loop_factory = asyncio.new_event_loop
    else:
        loop_factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(daemon.run())
    finally:
        guard.over()


def _code_of_cut_end(life: Life) -> int:
    """A service manager starts again what failed, and what was to start again in another mode; nothing else."""
    return FAILURE if life.failure is not None or life.is_to_start_again else OK


def _fail(error: object, code: int) -> int:
    sys.stderr.write(redact(f"tradingd: {error}\n"))
    return code
