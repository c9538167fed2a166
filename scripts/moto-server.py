"""Starts moto's S3 server: moto-server.py PORT

What moto_server does, with one addition: requests that write take turns. moto looks whether a condition (If-Match, If-None-Match) holds and then writes, with
no lock between, so that two of eight requests at once were seen to win the same replacement. S3 promises that one wins, and that is what is to be tried against.
"""

import io
import sys
from threading import Lock

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
turn = Lock()


def application(environ, start_response):
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
