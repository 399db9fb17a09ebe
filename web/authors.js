// Authors: each model that writes has one look (a colour and a line under its words), the same everywhere on
// the page. Words that it took over from a draft have its line and the drafter's colour.
import { h } from '/web/dom.js';

const LOOKS = 6;
const known = [];

export function look(author) {
  if (!known.includes(author)) known.push(author);
  return known.indexOf(author) % LOOKS;
}

export const swatch = (author, drafter = '') => h('span',
  { class: `swatch look-${look(author)}${drafter && ` draft-${look(drafter)}`}`, 'aria-hidden': 'true' });
