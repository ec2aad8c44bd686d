/* What is wider than its place says so: a line above it, and a faded edge on the side where more of it stands. */

import { element } from "./basics.js";

const WIDE = ".scroll, .drawing, .grid-box";

/* The line stands for those who see the page; screen readers find all of it as it is, and the keyboard can scroll it. */
function hintFor(box) {
  const hint = element("p", "sideways", "Scrolls sideways →");
  hint.setAttribute("aria-hidden", "true");
  hint.hidden = true;
  box.before(hint);
  return hint;
}

function watch(box) {
  const hint = hintFor(box);
  const look = () => {
    const hidden = box.scrollWidth - box.clientWidth;
    hint.hidden = hidden <= 1;
    box.classList.toggle("more", hidden - box.scrollLeft > 1);
    if (box.matches(".drawing")) box.tabIndex = hidden > 1 ? 0 : -1;
  };
  const sizes = new ResizeObserver(look);
  for (const each of [box, ...box.children]) sizes.observe(each);
  box.addEventListener("scroll", look, { passive: true });
}

document.querySelectorAll(WIDE).forEach(watch);
