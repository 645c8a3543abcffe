"""A mail server that keeps what it gets, and tells of it on standard output: a line of JSON for each mail, read as a mail
reader would. It stops when its standard input ends."""

import argparse
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

arguments = argparse.ArgumentParser()
arguments.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments.add_argument("--login", help="NAME:PASSWORD, without which nothing is taken")
arguments.add_argument("--refuse", action="append", default=[], help="answers to the first mails, one each")
arguments = arguments.parse_args()


def tell(what):
    print(json.dumps(what), flush=True)


class Catcher:
    refusals = list(arguments.refuse)

    async def handle_DATA(self, server, session, envelope):
        if self.refusals:
            answer = self.refusals.pop(0)
            tell({"refused": answer})
            return answer
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        parts = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
        tell(
            {
                "sender": envelope.mail_from,
                "recipients": envelope.rcpt_tos,
                "secure": arguments.tls == "tls" or session.ssl is not None,
                "headers": [[name, str(value)] for name, value in mail.items()],
                "subject": str(mail["subject"]),
                "text": parts["plain"].get_content() if parts["plain"] else "",
                "html": parts["html"].get_content() if parts["html"] else "",
                "defects": [str(defect) for defect in mail.defects],
            }
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    name, password = arguments.login.split(":", 1)
    right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (name, password)
    return AuthResult(success=right, handled=False)


async def serve():
    options, outer = {}, None
    if arguments.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.cert, arguments.key)
        if arguments.tls == "tls":
            outer = context
        else:
            options |= {"tls_context": context, "require_starttls": True}
    if arguments.login:
        options |= {"authenticator": authenticate, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Catcher(), loop=loop, **options), "127.0.0.1", 0, ssl=outer)
    tell({"port": server.sockets[0].getsockname()[1]})
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
