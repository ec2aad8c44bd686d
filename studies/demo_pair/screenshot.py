"""Photograph the demo's report for the documentation: the verdict, one prompt with a response token pointed at, a head.

    aftertune demo && python studies/demo_pair/screenshot.py runs/demo/report.html docs/images

Needs Chromium with its driver, and selenium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")

HEAD, PROMPT = "head-24-4", 2


def main() -> None:
    report, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, "--disable-background-networking", "--disable-component-update", "--disable-sync"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tempfile.mkdtemp()}")
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        driver.set_window_size(1280, 1010)
        driver.get(report.as_uri())
        WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "#verdict"))
        driver.save_screenshot(str(folder / "verdict.png"))
        driver.get(report.as_uri() + f"#prompt-{PROMPT}")
        WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, f"#detail-{PROMPT}[data-drawn]"))
        row = driver.find_element(By.CSS_SELECTOR, f"#detail-{PROMPT}")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
        token = driver.find_elements(By.CSS_SELECTOR, f"#detail-{PROMPT} .side.tuned .response .t")[1]
        ActionChains(driver).move_to_element(token).perform()
        driver.save_screenshot(str(folder / "report.png"))
        driver.get(f"{report.as_uri()}#{HEAD}")
        WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "#head-detail[data-drawn]"))
        driver.set_window_size(1280, 1500)
        driver.execute_script("document.getElementById('every-head').scrollIntoView()")
        driver.save_screenshot(str(folder / "heads.png"))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
