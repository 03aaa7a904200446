"""All errors that the Airflow side raises, as one tree.

::

    AirflowException
    └── DataEmulatorError
        ├── DataEmulatorUnavailableError    transient: 429, 503 and the like           retried
        │   ├── DataEmulatorConnectionError no answer: refused, reset, timed out     retried
        │   └── DataEmulatorAnswerError     an answer that cannot be understood      retried
        ├── AirflowUnavailableError         a Variable or connection cannot be read for now   retried
        ├── StorageUnavailableError         S3 or Kafka does not answer for now               retried
        ├── EmulationReplacedError          the task that started it is being run again       retried
        ├── DataEmulatorConfigError         a connection field or an argument is wrong        permanent
        ├── DataEmulatorRequestError        the service refused the request (other 4xx)       permanent
        │   └── EmulationNotFoundError      404: the service does not know the emulation      permanent
        ├── TaskInterruptedError            the task's process received SIGTERM               retried
        ├── EmulationEndError               the emulation did not complete        depends on the task, see there
        │   ├── EmulationFailedError        it ended as failed
        │   ├── EmulationCancelledError     somebody cancelled it
        │   └── EmulationTimeoutError       it was not over in time
        ├── ReceiptError                    an asset event holds no receipt                   permanent
        └── EmulationDataError              the data is not what its manifest says            permanent

The permanent ones are also ``AirflowFailException``: a retry could only fail in the same way, so Airflow fails the task
at once.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class DataEmulatorError(AirflowException):
    """Base class of all errors of the hook, the operators, the trigger and the bronze ingest."""


class DataEmulatorUnavailableError(DataEmulatorError):
    """The service is temporarily unavailable: it answered with a status code that the connection's policy retries.

    :param message: what was asked, of whom, and what came back
    :param retry_after_s: seconds the service asked to wait, from ``Retry-After``, or None
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DataEmulatorConnectionError(DataEmulatorUnavailableError):
    """No answer came, or only part of one: connection refused or reset, name not resolved, timed out.

    :param what: what happened, as a sentence without its full stop
    :param advice: what to do about it, likewise
    :param asked: what was requested, and from whom
    """

    def __init__(self, what: str, advice: str, asked: str) -> None:
        super().__init__(f"{what}: {advice} ({asked})")
        self.reason = f"{what}: {advice}"
        self.short = f"{what} ({asked})"


class DataEmulatorAnswerError(DataEmulatorUnavailableError):
    """The answer is not from a Data Emulator Service: from a proxy or a login page, cut off, or endless."""


class AirflowUnavailableError(DataEmulatorError):
    """Airflow or a secrets backend is temporarily unable to read a Variable or connection."""


class StorageUnavailableError(DataEmulatorError):
    """The S3 store or the Kafka broker is temporarily unavailable."""


class DataEmulatorConfigError(DataEmulatorError, AirflowFailException):
    """A connection field or an operator argument has an invalid value."""


class DataEmulatorRequestError(DataEmulatorError, AirflowFailException):
    """The service refused the request.

    :param message: what was asked, of whom, and the service's reason
    :param http_status: the status code of the answer, none that the retry policy names
    :param detail: the service's reason alone
    """

    def __init__(self, message: str, *, http_status: int, detail: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.detail = detail


class EmulationNotFoundError(DataEmulatorRequestError):
    """The service does not know the emulation (404)."""


class TaskInterruptedError(DataEmulatorError):
    """The task's process received SIGTERM while it waited; the next try resumes with the same emulation."""


class EmulationEndError(DataEmulatorError):
    """The emulation did not complete.

    A task that started the emulation itself is retried and starts another one. A task that only waits for it raises
    what :meth:`without_retries` returns.
    """

    def without_retries(self, message: str) -> EmulationEndError:
        """Return an error of the same class, with this message, that is an ``AirflowFailException`` too."""
        kind = type(self)
        error: EmulationEndError = type(kind.__name__, (kind, AirflowFailException), {})(message)
        return error


class EmulationFailedError(EmulationEndError):
    """The emulation ended as failed, or one of its threads did."""


class EmulationCancelledError(EmulationEndError):
    """The emulation was cancelled while it was waited for."""


class EmulationTimeoutError(EmulationEndError):
    """The emulation had not ended when the wait's deadline passed."""


class EmulationReplacedError(DataEmulatorError):
    """The task that started the emulation is being run again, and will start another one."""


class ReceiptError(DataEmulatorError, AirflowFailException):
    """A receipt is malformed, or contradicts the emulation's manifest."""


class EmulationDataError(DataEmulatorError, AirflowFailException):
    """An emulation's data does not match its manifest: missing, short, changed or unreadable."""
