"""What all operators of emulations have: a label, a connection, links, and a way to cancel what nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from include.defaults import DEFAULT_CONN_NAME
from include.exceptions import DataEmulatorConfigError, DataEmulatorError
from include.operators import parameters

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

    from include.connection import ConnectionSettings
    from include.hooks.data_emulator import DataEmulatorHook

#: A killed task's process has five seconds from the signal on. Until then the handler waits no longer than this.
_HANDLER_WAITS_S = 1.0


class EmulationLink(BaseOperatorLink):
    """To the emulation in the service."""

    name = "Emulation"
    xcom_key = "emulation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL that the task has found; Airflow calls this in the worker, at the task's end."""
        return operator.link_urls.get(self.xcom_key, "") if isinstance(operator, EmulationOperator) else ""


class DataLink(EmulationLink):
    """To the bucket or topic, in the console that the connection names."""

    name = "Data"
    xcom_key = "data_link"


class EmulationOperator(BaseOperator):
    """Base of the operators that start emulations or wait for them.

    :param arguments: any of the templated parameters by name, which then count instead of those given by themselves; a
        value of None leaves that one as it is. For an argument of a mapped task group: a task fetches all that the
        group is mapped over, once for every such argument that it uses, so this one mapping is cheaper than ten
        values. Parameters of the other operators are passed over, so that a start and a wait can share a mapping
    :param cancel_on_kill: whether an emulation is cancelled once nobody waits for it any more
    :param emulation_label: what the log, errors, and a ``map_index_template`` that uses it, call the emulation
    :param data_emulator_conn_id: the Airflow connection
    :raises DataEmulatorConfigError: when ``arguments`` has a name that no operator of emulations knows
    """

    template_fields: Sequence[str] = parameters.COMMON
    operator_extra_links: Collection[BaseOperatorLink] = (EmulationLink(),)

    def __init__(
        self,
        *,
        arguments: Any = None,
        cancel_on_kill: bool = True,
        emulation_label: str | None = None,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.cancel_on_kill = cancel_on_kill
        self.emulation_label = emulation_label
        self.data_emulator_conn_id = data_emulator_conn_id
        self.link_urls: dict[str, str] = {}

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        # Airflow calls this for mapped operators and for others.
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self and self.arguments is not None:
            self._take(self.arguments)

    def _take(self, arguments: Any) -> None:
        if not isinstance(arguments, Mapping):
            raise DataEmulatorConfigError(f"arguments must be a mapping of parameters, got {arguments!r}")
        known = {*parameters.COMMON, *parameters.START, *parameters.WAIT, *parameters.WAITED_FOR}
        if unknown := set(arguments) - known:
            raise DataEmulatorConfigError(f"arguments has unknown parameters: {', '.join(map(repr, sorted(unknown)))}")
        # What Airflow stores and shows as rendered is what was given; each field costs a task milliseconds.
        self.template_fields = tuple(name for name in self.template_fields if getattr(self, name) is not None)
        for name in set(type(self).template_fields).intersection(arguments) - {"arguments"}:
            if arguments[name] is not None:
                setattr(self, name, arguments[name])

    # What follows is imported when it is needed. A DAG file is parsed every half minute and at the start of every task,
    # and the HTTP provider alone takes a third of a CPU second: as much as all the rest of a task that only defers.

    def hook(self) -> DataEmulatorHook:
        """A new hook for the connection."""
        from include.hooks.data_emulator import DataEmulatorHook

        return DataEmulatorHook(self.data_emulator_conn_id)

    def settings(self) -> ConnectionSettings:
        """Our own fields of the connection, without the hook.

        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        from airflow.sdk import Connection

        from include.connection import ConnectionSettings

        connection = Connection.get(self.data_emulator_conn_id)
        return ConnectionSettings.of(connection, connection.extra_dejson)

    def show_link(self, link: type[EmulationLink], url: str | None) -> None:
        """Have Airflow show a link from the end of the task's process on, be that the end of the task or a deferral."""
        if url:
            self.link_urls[str(link.xcom_key)] = url
        # Airflow stores each link of the task then, by a request each: those that are not known do not need it.
        links = type(self).operator_extra_links
        self.operator_extra_links = [each for each in links if each.xcom_key in self.link_urls]

    def name_of(self, emulation_id: str) -> str:
        """The emulation for logs and errors."""
        return f"{self.emulation_label} ({emulation_id})" if self.emulation_label else emulation_id

    def beside(self, cancel: Callable[[], object]) -> None:
        """Cancel when the task is killed: in a thread, and not in the signal's handler.

        The code that the signal has interrupted may be waiting for an answer of Airflow's, and hold what all other
        questions to Airflow need until then: in the handler none would ever be answered.
        """
        thread = threading.Thread(target=cancel, name="on-kill")
        thread.start()
        thread.join(_HANDLER_WAITS_S)

    def cancel(self, emulation_id: str, *, attempts: int | None = None) -> bool | None:
        """Cancel an emulation; what is in the way is logged.

        :return: True if it will be cancelled, False if it was over already, None if it was not to be done
        """
        # A hook of its own: a signal interrupts whatever another one is doing.
        try:
            cancelled = self.hook().cancel(emulation_id, attempts=attempts)
        except DataEmulatorError as error:
            self.log.warning("Emulation %s was not cancelled and runs on: %s", self.name_of(emulation_id), error)
            return None
        self.log.info("Emulation %s %s", self.name_of(emulation_id), "cancelled" if cancelled else "was over already")
        return cancelled
