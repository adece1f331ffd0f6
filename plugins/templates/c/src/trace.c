#include "trace.h"

#include <stdlib.h>
#include <string.h>

static bool find_in(const classifier_string_t *in, const char *wanted, const char *path, long step, const char *field, struct seen *seen) {
  size_t length = strlen(wanted);
  for (size_t at = 0; length <= in->len && at <= in->len - length; at++) {
    if (memcmp(in->ptr + at, wanted, length) != 0) continue;
    char *to = seen->location;
    if (step >= 0) {
      char digits[20];
      int count = 0;
      do digits[count++] = (char)('0' + step % 10);
      while ((step /= 10) > 0);
      to = stpcpy(to, path);
      while (count > 0) *to++ = digits[--count];
      to = stpcpy(to, "].");
    }
    stpcpy(stpcpy(to, "error."), field);
    seen->start = (uint32_t)at;
    seen->end = (uint32_t)(at + length);
    return true;
  }
  return false;
}

static bool find_in_fault(const tracejury_classifier_types_option_fault_t *fault, const char *wanted, long step, struct seen *seen) {
  if (!fault->is_some) return false;
  return find_in(&fault->val.message, wanted, "steps[", step, "message", seen) ||
         (fault->val.code.is_some && find_in(&fault->val.code.val, wanted, "steps[", step, "code", seen)) ||
         (fault->val.stack.is_some && find_in(&fault->val.stack.val, wanted, "steps[", step, "stack", seen));
}

bool find(const classifier_trace_t *trace, const char *wanted, struct seen *seen) {
  uint32_t step = trace->failing_step.val;
  if (trace->failing_step.is_some && step < trace->steps.len &&
      find_in_fault(&trace->steps.ptr[step].error, wanted, (long)step, seen)) {
    return true;
  }
  return find_in_fault(&trace->error, wanted, -1, seen);
}

classifier_string_t text(const char *from) {
  classifier_string_t copy;
  classifier_string_dup(&copy, from);
  return copy;
}

classifier_verdict_t verdict(const char *classification, double confidence, const char *reason, const char *explanation) {
  classifier_verdict_t verdict;
  memset(&verdict, 0, sizeof verdict);
  verdict.classification = text(classification);
  verdict.confidence = confidence;
  verdict.reason.is_some = true;
  verdict.reason.val = text(reason);
  verdict.explanation = text(explanation);
  return verdict;
}

void rests_on(classifier_verdict_t *verdict, const struct seen *seen) {
  tracejury_classifier_types_list_evidence_t *list = &verdict->evidence;
  list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
  if (!list->ptr) abort();
  list->ptr[list->len].location = text(seen->location);
  list->ptr[list->len].start = seen->start;
  list->ptr[list->len].end = seen->end;
  list->len++;
}
