// Turn: one question and its answer in the conversation. Words of a model are text nodes, each in the look of its author.
import { look, swatch } from '/web/authors.js';
import { h, table } from '/web/dom.js';
import { plural } from '/web/units.js';

export class Turn {
  constructor(log, question) {
    this.pieces = []; // {author, text}, neighbours of one author joined
    this.said = h('div', { class: 'said' });
    this.foot = h('footer');
    this.answer = h('div', { class: 'answer', 'aria-busy': 'true' }, this.said, this.foot);
    this.log = log;
    log.append(h('div', { class: 'asked' }, h('span', { class: 'unseen' }, 'You asked: '), question), this.answer);
    this.follow(true);
  }

  // Keeps the end in view for those who have not scrolled away from it.
  follow(always = false) {
    const below = this.log.scrollHeight - this.log.clientHeight - this.log.scrollTop;
    if (always || below < 80) this.log.scrollTop = this.log.scrollHeight;
  }

  add(text, author) {
    const last = this.pieces.at(-1);
    if (last && last.author === author) {
      last.text += text;
      this.said.lastChild.lastChild.appendData(text);
    } else {
      this.pieces.push({ author, text });
      this.said.append(h('span', { class: `piece look-${look(author)}`, title: `written by ${author}` }, text));
    }
    this.follow();
  }

  get text() {
    return this.pieces.map((piece) => piece.text).join('');
  }

  get authors() {
    return [...new Set(this.pieces.map((piece) => piece.author))];
  }

  finish(words) {
    const by = this.authors.map((author) => h('span', { class: 'wrote' }, swatch(author),
      `${author}: ${plural(this.pieces.filter((p) => p.author === author).reduce((n, p) => n + [...p.text].length, 0), 'character')}`));
    this.foot.replaceChildren(...by, h('span', null, words));
    if (this.pieces.length > 1) this.foot.after(h('details', null, h('summary', null, `The ${this.pieces.length} pieces`),
      table('Who wrote which piece', ['author', 'piece'], this.pieces.map((p) => [p.author, h('code', null, p.text)]), { hideCaption: true })));
    this.answer.setAttribute('aria-busy', 'false');
    this.follow();
  }

  fail(message) {
    this.finish('');
    this.answer.append(h('p', { class: 'notice', role: 'alert' }, message));
    this.follow(true);
  }
}
