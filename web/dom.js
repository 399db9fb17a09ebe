// Elements. The one way in which the pages make them: text becomes text nodes, never markup.
const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
export const find = (id) => document.getElementById(id);

// rows: lists of cells; a cell is a text or a node; columns: names, those that begin with # hold numbers.
export function table(caption, columns, rows, { hideCaption = false } = {}) {
  const isNumber = columns.map((name) => name.startsWith('#'));
  const cell = (name, content, i, more) => h(name, { class: isNumber[i] && 'number', ...more }, content);
  return h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': caption },
    h('table', null,
      h('caption', { class: hideCaption && 'unseen' }, caption),
      h('thead', null, h('tr', null, columns.map((name, i) => cell('th', name.replace('#', ''), i, { scope: 'col' })))),
      h('tbody', null, rows.map((row) => h('tr', null,
        row.map((content, i) => (i === 0 ? cell('th', content, i, { scope: 'row' }) : cell('td', content, i))))))));
}
