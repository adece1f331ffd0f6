// The classifier {{name}}: what it recognises, and what it says of it.
#include "classifier.h"

#include <stdlib.h>
#include <string.h>

#include "trace.h"

void exports_classifier_describe(classifier_description_t *ret) {
  memset(ret, 0, sizeof *ret);
  ret->name = text("{{name}}");
  ret->version = text("0.1.0");
  ret->summary = text("Recognises failures of our own actions.");
  ret->classifications.ptr = malloc(sizeof *ret->classifications.ptr);
  if (!ret->classifications.ptr) abort();
  ret->classifications.ptr[0] = text("INTERNAL_LOGIC_FAULT");
  ret->classifications.len = 1;
}

bool exports_classifier_configure(classifier_string_t *settings, classifier_string_t *err) {
  (void)err;
  classifier_string_free(settings);
  return true;
}

bool exports_classifier_classify(classifier_trace_t *trace, classifier_list_verdict_t *ret, classifier_string_t *err) {
  (void)err;
  struct seen seen;
  memset(ret, 0, sizeof *ret); // no opinion
  if (find(trace, "over the refund limit", &seen)) {
    ret->ptr = malloc(sizeof *ret->ptr);
    if (!ret->ptr) abort();
    ret->ptr[0] = verdict("INTERNAL_LOGIC_FAULT", 0.9, "business-rule", "The refund is over our own limit.");
    rests_on(&ret->ptr[0], &seen);
    ret->len = 1;
  }
  classifier_trace_free(trace);
  return true;
}
