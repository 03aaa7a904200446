"""Every error that the Airflow side raises, as one tree.

::

    AirflowException
    └── DataEmulatorError
        ├── DataEmulatorUnavailableError    transient: 429, 503 and the like           may be tried again
        │   ├── DataEmulatorConnectionError no answer: refused, reset, timed out     may be tried again
        │   └── DataEmulatorAnswerError     an answer that cannot be understood      may be tried again
        ├── AirflowUnavailableError         a Variable or connection cannot be read just now  may be tried again
        ├── StorageUnavailableError         S3 or Kafka does not answer just now              may be tried again
        ├── EmulationReplacedError          the task that started it is being run again       may be tried again
        ├── DataEmulatorConfigError         a connection field or an argument is wrong        permanent
        ├── DataEmulatorRequestError        the service refused the request (other 4xx)       permanent
        │   └── EmulationNotFoundError      404: the service does not know the emulation      permanent
        ├── TaskInterruptedError            the task's process was told to end (SIGTERM)      may be tried again
        ├── EmulationEndError               the emulation did not complete        depends on the task, see there
        │   ├── EmulationFailedError        it ended as failed
        │   ├── EmulationCancelledError     somebody cancelled it
        │   └── EmulationTimeoutError       it was not over in time
        ├── ReceiptError                    an asset event holds no receipt                   permanent
        └── EmulationDataError              the data is not what its manifest says            permanent

The permanent ones are also ``AirflowFailException``: trying the task again could only find the same end, so Airflow
fails it without using up its retries.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class DataEmulatorError(AirflowException):
    """Base of all errors of the Data Emulator hook, operators and trigger, and of what reads the data."""


class DataEmulatorUnavailableError(DataEmulatorError):
    """The service cannot answer just now, by a status code that the connection's retry policy names; the same request
    may succeed later.

    :param message: what was asked, of whom, and what came back
    :param retry_after_s: seconds the service asked to wait, from ``Retry-After``, or None
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DataEmulatorConnectionError(DataEmulatorUnavailableError):
    """No answer came, or only a part of one: connection refused or reset, name not resolved, timed out.

    :param reason: why, in a sentence without its full stop
    :param asked: what was asked, and of whom
    """

    def __init__(self, reason: str, asked: str) -> None:
        super().__init__(f"{reason} ({asked})")
        self.reason = reason


class DataEmulatorAnswerError(DataEmulatorUnavailableError):
    """An answer came that is not one of a Data Emulator Service: a proxy's or a login page's, cut off, endless."""


class AirflowUnavailableError(DataEmulatorError):
    """Airflow, or a secrets backend, cannot say just now what a Variable or a connection is."""


class StorageUnavailableError(DataEmulatorError):
    """The S3 store or the Kafka broker cannot be read or written just now; it may be there again later."""


class DataEmulatorConfigError(DataEmulatorError, AirflowFailException):
    """A field of the Airflow connection, or an argument of an operator, has a value that cannot be used."""


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
    """The task's process was told to end (SIGTERM) while it waited; the next try goes on with the same emulation."""


class EmulationEndError(DataEmulatorError):
    """The emulation did not complete.

    A task that has started it itself is tried again, and starts another. One that only waits for it raises what
    :meth:`without_retries` gives.
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
    """The emulation was not over when the wait's deadline passed."""


class EmulationReplacedError(DataEmulatorError):
    """The emulation was waited for in vain: the task that had started it is being run again, and starts another."""


class ReceiptError(DataEmulatorError, AirflowFailException):
    """What should be an emulation's receipt is none, or says other things than the emulation's manifest."""


class EmulationDataError(DataEmulatorError, AirflowFailException):
    """An emulation's data is not what its manifest says: missing, short, changed, or not to be read."""
