"""Security headers of every response, by the OWASP Secure Headers Project. All pages but two share one policy."""

from flask import Flask, Response, current_app, g

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# The page that shows how mails look, and a mail within it: its inline styles are ours, and it can do nothing else.
FRAMING_POLICY = f"{POLICY}; frame-src 'self'"
FRAMED_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox"
)
OTHER_POLICIES = (FRAMING_POLICY, FRAMED_POLICY)
POLICY_HEADER = "Content-Security-Policy"
HEADERS = {
    POLICY_HEADER: POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


def init_app(app: Flask) -> None:
    """Adds the headers to every response."""
    app.after_request(_add_headers)


def use_policy(policy: str) -> None:
    """Lets the response to this request have one of OTHER_POLICIES."""
    assert policy in OTHER_POLICIES
    g.content_policy = policy


def _add_headers(response: Response) -> Response:
    response.headers.extend(HEADERS)
    if "content_policy" in g:
        response.headers[POLICY_HEADER] = g.content_policy
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    response.headers.setdefault("Cache-Control", "no-store")  # keeps health data out of the caches of shared browsers
    return response
