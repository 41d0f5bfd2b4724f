"""Phoenix's channels on supervised processes: sockets, channels, pub/sub, an endpoint.

Start with `Channel` (channel.py), `UserSocket` (socket.py) and `Endpoint` (endpoint/endpoint.py).
What travels is in messages.py; one connection's protocol, as a pure table, in multiplexer.py.
"""

from channels.channel import Channel, SocketRef, reply
from channels.endpoint import TLS, DrainOptions, Endpoint, LongPoll, Mount
from channels.exceptions import (
    ChannelsError,
    ConnectRefused,
    InvalidPayloadError,
    JoinRefused,
    NotAcknowledgedError,
    NotJoinedError,
)
from channels.log_filter import ParameterFilter
from channels.messages import Binary, Broadcast, Message, Reply
from channels.pubsub import PubSub
from channels.socket import ConnectInfo, UserSocket
from channels.token import Token, TokenError
from channels.transports.backlog import CoalesceByKey, Disconnect, DropNewest, DropOldest
from channels.transports.limits import AddressLimits, Limits, Rate
from channels.typed_events import on

__all__ = (
    "TLS",
    "AddressLimits",
    "Binary",
    "Broadcast",
    "Channel",
    "ChannelsError",
    "CoalesceByKey",
    "ConnectInfo",
    "ConnectRefused",
    "Disconnect",
    "DrainOptions",
    "DropNewest",
    "DropOldest",
    "Endpoint",
    "InvalidPayloadError",
    "JoinRefused",
    "Limits",
    "LongPoll",
    "Message",
    "Mount",
    "NotAcknowledgedError",
    "NotJoinedError",
    "ParameterFilter",
    "PubSub",
    "Rate",
    "Reply",
    "SocketRef",
    "Token",
    "TokenError",
    "UserSocket",
    "on",
    "reply",
)
