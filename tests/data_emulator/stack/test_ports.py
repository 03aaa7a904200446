"""Ports are free, distinct, held until they are released, and the wanted ones where those are free."""

import socket

import pytest

from data_emulator.stack.ports import LOOPBACK, PortReservation


def bind(port: int) -> socket.socket:
    """Bind as servers do, which take a port that has connections in TIME_WAIT."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((LOOPBACK, port))
    except OSError:
        server.close()
        raise
    return server


def test_ports_are_held_until_they_are_released() -> None:
    with PortReservation(10) as reservation:
        assert len(set(reservation.ports)) == 10
        for port in reservation.ports:
            with pytest.raises(OSError, match="in use"):
                bind(port)
    for port in reservation.ports:
        bind(port).close()


def test_two_stacks_get_different_ports() -> None:
    with PortReservation(50) as one, PortReservation(50, one.ports) as other:
        assert not set(one.ports) & set(other.ports)


def test_wanted_ports_keep_their_positions_and_taken_ones_are_replaced() -> None:
    with PortReservation(3) as first:
        wanted = first.ports
    with bind(wanted[1]) as taken:
        taken.listen()
        with PortReservation(4, wanted) as second:
            assert (second.ports[0], second.ports[2]) == (wanted[0], wanted[2])
            assert second.ports[1] not in wanted
            assert len(set(second.ports)) == 4
