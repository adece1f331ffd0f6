// Looks into a trace: the failing step's texts, then those of the execution as a whole.
#ifndef TRACE_H
#define TRACE_H

#include "classifier.h"

// Where a text stands in the trace: its place, as evidence has it, and the first byte and the one behind the last.
struct seen {
  char location[48];
  uint32_t start, end;
};

// The first place where `wanted` stands; false where it does not.
bool find(const classifier_trace_t *trace, const char *wanted, struct seen *seen);

// A copy of a text, for an answer: what is answered is freed by the caller.
classifier_string_t text(const char *from);

// A verdict with all that is optional left out.
classifier_verdict_t verdict(const char *classification, double confidence, const char *reason, const char *explanation);

// Adds what a verdict rests on.
void rests_on(classifier_verdict_t *verdict, const struct seen *seen);

#endif
