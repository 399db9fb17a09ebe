// Turn: one question and its answer in the conversation. Words of a model are text nodes, each in the look of its author.
import { look, swatch } from '/web/authors.js';
import { h, table } from '/web/dom.js';
import { plural, whole } from '/web/units.js';

const origin = (author, drafter) => (drafter ? `drafted by ${drafter}, taken over by ${author}` : `written by ${author}`);

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

  // drafter: whose draft the author has taken over, if it is one.
  add(text, author, drafter = '') {
    const last = this.pieces.at(-1);
    if (last && last.author === author && last.drafter === drafter) {
      last.text += text;
      this.said.lastChild.lastChild.appendData(text);
    } else {
      this.pieces.push({ author, drafter, text });
      this.said.append(h('span', { class: `piece look-${look(author)}${drafter && ` draft-${look(drafter)}`}`, title: origin(author, drafter) }, text));
    }
    this.follow();
  }

  // Characters, all or those of pieces that the test holds for.
  count(holds) {
    return this.pieces.filter(holds).reduce((n, piece) => n + [...piece.text].length, 0);
  }

  credit(author) {
    const drafters = [...new Set(this.pieces.filter((p) => p.author === author && p.drafter).map((p) => p.drafter))];
    const drafts = drafters.map((drafter) => h('span', { class: 'wrote' }, swatch(author, drafter),
      `${whole(this.count((p) => p.author === author && p.drafter === drafter))} of them drafted by ${drafter}`));
    return [h('span', { class: 'wrote' }, swatch(author), `${author}: ${plural(this.count((p) => p.author === author), 'character')}`), ...drafts];
  }

  get text() {
    return this.pieces.map((piece) => piece.text).join('');
  }

  get authors() {
    return [...new Set(this.pieces.map((piece) => piece.author))];
  }

  finish(words) {
    this.foot.replaceChildren(...this.authors.flatMap((author) => this.credit(author)), ...(words ? [h('span', null, words)] : []));
    if (this.pieces.length > 1) this.foot.after(h('details', null, h('summary', null, `The ${this.pieces.length} pieces`),
      table('Who wrote which piece', ['by', 'piece'], this.pieces.map((p) => [origin(p.author, p.drafter), h('code', null, p.text)]), { hideCaption: true })));
    this.answer.setAttribute('aria-busy', 'false');
    this.follow();
  }

  fail(message) {
    this.finish('');
    this.answer.append(h('p', { class: 'notice', role: 'alert' }, message));
    this.follow(true);
  }
}
