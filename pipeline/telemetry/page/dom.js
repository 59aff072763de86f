// Small ways to write to the document that leave alone what has not changed.
export const $ = (id) => document.getElementById(id);

export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function element(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

/** As many children as there are items: made by `make`, filled by `fill(child, item)`, kept from call to call. */
export function rows(host, items, make, fill) {
  while (host.children.length > items.length) host.lastElementChild.remove();
  while (host.children.length < items.length) host.append(make());
  items.forEach((item, at) => fill(host.children[at], item));
}

/** A legend that is the readout as well: `items` are { color, name, value }. */
export function legend(host, items) {
  rows(
    host,
    items,
    () => {
      const made = element("li");
      made.append(element("i"), element("span"), element("b"));
      return made;
    },
    (node, { color, name, value }) => {
      node.children[0].style.background = `var(--${color})`;
      text(node.children[1], name);
      text(node.children[2], value);
    },
  );
}

/** Horizontal bars: `items` are { name, share, value, color, title }. */
export function bars(host, items) {
  rows(
    host,
    items,
    () => {
      const made = element("li");
      const track = element("div", "track");
      track.append(element("i"));
      made.append(element("span", "name"), track, element("b"));
      return made;
    },
    (node, { name, share, value, color = "blue" }) => {
      text(node.children[0], name);
      const fill = node.children[1].firstElementChild;
      fill.style.width = `${Math.min(100, Math.max(share > 0 ? 0.6 : 0, share * 100)).toFixed(1)}%`;
      fill.style.background = `var(--${color})`;
      text(node.children[2], value);
    },
  );
}

export function pairs(host, items) {
  rows(
    host,
    items,
    () => {
      const made = element("div");
      made.append(element("dt"), element("dd"));
      return made;
    },
    (node, [name, value]) => {
      text(node.children[0], name);
      text(node.children[1], value);
    },
  );
}

/** A group of buttons of which one is pressed. */
export function choose(host, name, onChoice) {
  host.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    press(host, button);
    onChoice(button.dataset[name]);
  });
}

function press(host, button) {
  for (const each of host.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
}
