"""Looks at a report's page as a person would, in headless Chromium: page_reader.py PAGE FOLDER CHROMIUM. Prints what it found as JSON, one
object for each way of looking, and leaves pictures in the folder. Exits with 77 where Playwright is missing."""

import json
import pathlib
import sys

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sys.exit(77)

page_file, folder, chromium = sys.argv[1:]
address = pathlib.Path(page_file).resolve().as_uri()


def look(browser, name, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said, asked, shown = [], [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (shown.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    found = {
        "name": name,
        "title": page.title(),
        "headings": page.locator("h1, h2").all_inner_texts(),
        "figures": page.locator(".figures li").all_inner_texts(),
        "wide": page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"),
        "background": page.evaluate("getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor"),
        "ink": page.evaluate("getComputedStyle(document.body).color"),
        "bars": page.evaluate("[...document.querySelectorAll('.bars .fill')].filter(e => e.getBoundingClientRect().width > 20).map(e => getComputedStyle(e).color)"),
        "scripts": page.locator("script, img, iframe, object, embed, link").count(),
        "handlers": page.evaluate("[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"),
        "unlabelled": page.evaluate("[...document.querySelectorAll('svg, .sessions .track')].filter(e => !e.getAttribute('aria-label')).length"),
    }
    # By keyboard: the first stop skips to the results, and a vector opens by the enter key.
    page.keyboard.press("Tab")
    found["first stop"] = page.evaluate("document.activeElement.innerText")
    page.locator("details.vector > summary", has_text="hostile").first.focus()
    page.keyboard.press("Enter")
    opened = page.locator("details.vector[open]")
    found["opened"] = opened.count()
    found["text"] = opened.first.inner_text()
    found["marked"] = opened.first.locator("mark").all_inner_texts()
    page.screenshot(path=f"{folder}/{name}.png", full_page=True)
    page.locator("#only").focus()
    page.keyboard.press("Space")
    found["left"] = page.locator("details.vector:visible").count()
    page.emulate_media(media="print")
    found["printed nav"] = page.locator("nav").is_visible()
    found["said"], found["asked"], found["shown"] = said, asked, shown
    context.close()
    return found


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    ways = [("wide", 1280, "light"), ("narrow", 400, "light"), ("dark", 1280, "dark")]
    print(json.dumps([look(browser, *way) for way in ways]))
    browser.close()
