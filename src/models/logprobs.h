// Logprobs: what is kept of the log-probabilities of an answer's pieces, which is all that gates look at.
#pragma once

struct tdm_logprobs {
	int n;                                  // pieces whose log-probability is known; 0: everything else is 0
	double sum, least, second, first, last; // second: the least but one; 0 while there is only one
};

static inline void tdm_logprobs_add(struct tdm_logprobs *p, double logprob) {
	if (p->n == 0 || logprob < p->least) {
		p->second = p->n ? p->least : 0;
		p->least = logprob;
	} else if (p->n == 1 || logprob < p->second)
		p->second = logprob;
	if (p->n++ == 0)
		p->first = logprob;
	p->last = logprob;
	p->sum += logprob;
}
