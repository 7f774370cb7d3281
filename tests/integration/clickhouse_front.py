"""ClickHouse's HTTP interface in front of the embedded engine, and faults on request, for tests.

Usage: python clickhouse_front.py DIRECTORY [FAULT …]

It prints its port and serves until its standard input ends. Each insert consumes one FAULT: ``ok``;
``lost``: the insert is stored, and the connection dies before the answer; ``busy``: refused with
error 252 (too many parts); ``full``: refused with error 243 (no space); ``hang``: never answered.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb

PROTOCOL = {"query", "database", "session_id", "query_id", "compress", "wait_end_of_query"}
PROTOCOL |= {"client_protocol_version", "send_progress_in_http_headers", "role"}
ERRORS = {"busy": "252. DB::Exception: Too many parts. (TOO_MANY_PARTS)"}
ERRORS["full"] = "243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = chdb.connect(sys.argv[1])
    lock = threading.Lock()
    faults = sys.argv[2:]

    def log_message(self, *args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query))
        body = self.body()
        sql = given.get("query", "")
        data = body if sql else b""
        sql = sql or body.decode()
        names = {k[6:]: v for k, v in given.items() if k.startswith("param_")}
        settings = {k: v for k, v in given.items() if k not in PROTOCOL and k[:6] != "param_"}
        insert = sql.lstrip().upper().startswith("INSERT")
        fault = self.faults.pop(0) if insert and self.faults else "ok"
        if fault == "hang":
            threading.Event().wait()
        if fault in ERRORS:
            self.answer(500, f"Code: {ERRORS[fault]}".encode(), ERRORS[fault].partition(".")[0])
            return
        try:
            with self.lock:
                result = self.run_insert(sql, data, settings) if insert else self.run(sql, names)
        except RuntimeError as error:
            code = re.search(r"Code: ([0-9]+)", str(error))
            self.answer(500, str(error).encode(), code[1] if code else "1")
            return
        if fault == "lost":
            self.close_connection = True
            self.connection.close()
            return
        self.answer(200, result)

    def run(self, sql: str, names: dict[str, str]) -> bytes:
        return self.engine.query(sql, "TabSeparated", params=names).bytes() or b""

    def run_insert(self, sql: str, data: bytes, settings: dict[str, str]) -> bytes:
        into, form = re.fullmatch(r"\s*(INSERT INTO .*?)\s+FORMAT\s+(\w+)\s*", sql, re.S).groups()
        clause = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.engine.query(f"{into} FROM INFILE '{file.name}' SETTINGS {clause} FORMAT {form}")
        return b""

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, data: bytes, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()
    with Front.lock:
        Front.engine.close()
