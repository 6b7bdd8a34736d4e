/* Copyright 2026 offload_perception maintainers. License: Apache-2.0. */
/* A stand-in for libedgetpu.so.1 where no Edge TPU is: an external TensorFlow Lite delegate.

   It claims the operator `edgetpu-custom-op` as the real library does, through the public
   external-delegate interface, and computes nothing of use: output byte i is input byte
   i modulo the input's size, with all bits of 0x55 turned over.

   The file named by STAND_IN_FAULT, read at each call, tells it to misbehave: absent, segv (at
   creation), error, abort, hang (at an inference); no file, no fault.

   The structures are those of tensorflow/lite/core/c/common.h, whose order is kept stable by its
   authors; the members that are not used here are kept as plain pointers. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { kOk = 0, kError = 1 } Status;
typedef struct { int size; int data[]; } IntArray;
typedef struct { float scale; int32_t zero_point; } QuantizationParams;
typedef struct { int type; void *params; } Quantization;

typedef struct {
  int type;
  uint8_t *data;
  IntArray *dims;
  QuantizationParams params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  Quantization quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs;  /* the rest is not used */
} Node;

typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  Status (*prepare)(Context *, Node *);
  Status (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *(*async_kernel)(Context *, Node *);
  uint64_t inplace_operator;
} Registration;

struct Context {
  size_t tensors_size;
  Status (*GetExecutionPlan)(Context *, IntArray **);
  Tensor *tensors;
  void *impl;
  void *ResizeTensor;
  void (*ReportError)(Context *, const char *, ...);
  void *AddTensors;
  Status (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
  Status (*ReplaceNodeSubsetsWithDelegateKernels)(Context *, Registration, const IntArray *,
                                                  Delegate *);
};

struct Delegate {
  void *data;
  Status (*Prepare)(Context *, Delegate *);
  void *CopyFromBufferHandle, *CopyToBufferHandle, *FreeBufferHandle;
  int64_t flags;
  void *opaque_delegate_builder;
};

static bool told_to(const char *fault) {
  char told[16] = "";
  const char *name = getenv("STAND_IN_FAULT");
  FILE *file = name ? fopen(name, "r") : NULL;
  if (!file) return false;
  bool same = fscanf(file, "%15s", told) == 1 && strcmp(told, fault) == 0;
  fclose(file);
  return same;
}

static Status prepare_kernel(Context *context, Node *node) {
  (void)context, (void)node;
  return kOk;
}

static Status invoke(Context *context, Node *node) {
  const Tensor *in = &context->tensors[node->inputs->data[0]];
  Tensor *out = &context->tensors[node->outputs->data[0]];
  if (told_to("abort")) abort();  /* as libedgetpu does when a USB transfer fails */
  while (told_to("hang")) pause();
  if (told_to("error")) {
    context->ReportError(context, "stand-in: told to fail");
    return kError;
  }
  for (size_t i = 0; i < out->bytes; i++) out->data[i] = in->data[i % in->bytes] ^ 0x55;
  return kOk;
}

static Status prepare(Context *context, Delegate *delegate) {
  Registration kernel = {.prepare = prepare_kernel, .invoke = invoke,
                         .custom_name = "StandInDelegate", .version = 1};
  IntArray *plan, *nodes;
  if (context->GetExecutionPlan(context, &plan) != kOk) return kError;
  nodes = malloc(sizeof *nodes + plan->size * sizeof(int));
  nodes->size = 0;
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    Registration *registration;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) != kOk)
      continue;
    if (registration->custom_name && !strcmp(registration->custom_name, "edgetpu-custom-op"))
      nodes->data[nodes->size++] = plan->data[i];
  }
  Status status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, nodes, delegate);
  free(nodes);
  return status;
}

Delegate *tflite_plugin_create_delegate(const char *const *keys, const char *const *values,
                                        size_t count, void (*report_error)(const char *)) {
  (void)report_error;  /* libedgetpu gives no reason either */
  const char *options = getenv("STAND_IN_OPTIONS");  /* a file that tells what it was given */
  FILE *told = options ? fopen(options, "a") : NULL;
  for (size_t i = 0; told && i < count; i++) fprintf(told, "%s=%s\n", keys[i], values[i]);
  if (told) fclose(told);
  for (size_t i = 0; i < count; i++)
    if (!strcmp(keys[i], "device") && !strcmp(values[i], "usb:9")) return NULL;  /* no 10th */
  if (told_to("absent")) return NULL;
  if (told_to("segv")) raise(SIGSEGV);  /* as versions that do not match do */
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->Prepare = prepare;
  delegate->flags = 1;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
