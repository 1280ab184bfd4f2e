"""Store of the patient pages in the browser, read in a test."""

from contextlib import suppress

from playwright.sync_api import Error, Page

from tests.support.phone_answers import send_what_waits


def entries(page: Page, store: str = "answers") -> list[dict[str, object]]:
    """Returns what the browser keeps in a store, without the content."""
    found: list[dict[str, object]] = page.evaluate(
        """async (store) => {
            if (!(await indexedDB.databases()).some((each) => each.name === "visits")) return [];
            const result = (request) => new Promise((resolve) => {
                request.onsuccess = () => resolve(request.result);
            });
            const database = await result(indexedDB.open("visits"));
            const rows = await result(database.transaction(store).objectStore(store).getAll());
            database.close();
            return rows.map((row) => ({ ...row, iv: "", data: "" }));
        }""",
        store,
    )
    return found


def waiting_items(page: Page) -> set[str]:
    """Returns the names of questions whose answers wait, decrypted in the page, which cannot read the key itself."""
    found: list[str] = page.evaluate(
        """async () => {
            const result = (request) => new Promise((resolve) => {
                request.onsuccess = () => resolve(request.result);
            });
            const database = await result(indexedDB.open("visits"));
            const read = (store, get) => result(get(database.transaction(store).objectStore(store)));
            const names = [];
            for (const { visit, iv, data } of await read("answers", (store) => store.getAll())) {
                const key = await read("keys", (store) => store.get(visit));
                const text = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, data);
                names.push(JSON.parse(new TextDecoder().decode(text)).item);
            }
            database.close();
            return names.filter(Boolean);
        }"""
    )
    return set(found)


def wait_for_sending(page: Page) -> None:
    """Waits until no answer waits on the phone, if the page runs scripts at all."""
    if not page.evaluate("document.body.classList.contains('govuk-frontend-supported')"):
        return
    send_what_waits(page)
    for _ in range(100):
        with suppress(Error):  # the page changes
            if not entries(page):
                return
        page.wait_for_timeout(50)
    raise AssertionError("answers wait for more than five seconds")


def wait_for_offline_page(page: Page) -> None:
    """Waits until the browser can open the visit without a connection."""
    for _ in range(100):
        with suppress(Error):  # the page changes
            if page.evaluate(CAN_OPEN_OFFLINE):
                return
        page.wait_for_timeout(100)
    raise AssertionError("the page of the visit is not kept after ten seconds")


CAN_OPEN_OFFLINE = """async () => {
    const workers = await Promise.all(["/visit/", "/v/"].map((path) => navigator.serviceWorker.getRegistration(path)));
    return workers.every((each) => each?.active?.state === "activated") && (await caches.keys()).length > 0;
}"""
