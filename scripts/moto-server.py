"""Starts moto's S3 server: moto-server.py PORT

What moto_server does, with two additions. Requests that write take turns. moto looks whether a condition (If-Match, If-None-Match) holds and then writes, with
no lock between, so that two requests at once can win the same replacement. S3 promises that one wins, and that is what is to be tried against.
And of an upload in parts moto says that it was begun in 2010, whenever that was; whoever collects old ones would end those that are under way.
"""

import io
import sys
from datetime import UTC, datetime, timedelta
from threading import Lock
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

BEGUN = b"2010-11-10T20:48:33.000Z"

moto = DomainDispatcherApplication(create_backend_app)
turn = Lock()


def list_uploads(environ, start_response):
    """Uploads that nobody has ended, as if they had been begun a minute ago."""
    answer = {}
    body = b"".join(moto(environ, lambda status, headers, *_: answer.update(status=status, headers=headers)))
    recently = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = body.replace(BEGUN, recently.encode())  # as long as it was
    start_response(answer["status"], answer["headers"])
    return [body]


def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "GET" and "uploads" in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        return list_uploads(environ, start_response)
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return moto(environ, start_response)
    # The body first: who is slow to send keeps nobody waiting.
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if len(body) < length:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    environ["wsgi.input"] = io.BytesIO(body)
    with turn:
        return moto(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)
