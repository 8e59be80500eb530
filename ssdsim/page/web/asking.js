// Asks the server on this machine: one question at a time, and of several the latest.

/** @typedef {Record<string, string|number>} Changes */
/** What is answered at once, one after the other, and what takes longer.
 * @typedef {{changes: Changes, now: string[], later: string[]}} Question */
/** @typedef {(want: string, answer: any) => void|Promise<void>} Tell */

const ADDRESS = "answer";
/** Milliseconds without a new question after which that is asked for which takes longer. */
const IDLE = 400;

/** Makes what asks; answers to questions that are not the latest are dropped.
 * @param {Tell} tell @returns {(question: Question) => void} */
export function asker(tell) {
  const page = crypto.randomUUID();
  let number = 0, busy = false, timer = 0;
  /** @type {Question|null} */
  let waiting = null;
  /** @param {Question} question */
  async function ask(question) {
    window.clearTimeout(timer);
    waiting = question;
    number += 1;
    if (busy) return;
    busy = true;
    while (waiting) {
      const asked = /** @type {Question} */ (waiting), own = number;
      waiting = null;
      const answered = await inTurn(asked.now, asked.changes, own);
      if (answered) timer = window.setTimeout(() => void inTurn(asked.later, asked.changes, own), IDLE);
    }
    busy = false;
  }
  /** @param {string[]} wants @param {Changes} changes @param {number} own */
  async function inTurn(wants, changes, own) {
    const asked = wants.map((want) => post({ settings: changes, want, number: own, page }));
    for (const [at, want] of wants.entries()) {
      const answer = await asked[at];
      if (own !== number || answer.stale) return false;
      await tell(want, answer);
      if (!answer.ok) return false;
    }
    return true;
  }
  return ask;
}

/** @param {unknown} question @returns {Promise<any>} */
async function post(question) {
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(ADDRESS, { method: "POST", headers, body: JSON.stringify(question) });
    return answer.ok ? await answer.json() : { ok: false, refused: await answer.text() };
  } catch {
    return { ok: false, refused: "The explorer does not answer: its command has ended." };
  }
}
