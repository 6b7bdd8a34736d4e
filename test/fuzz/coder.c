/* Copyright 2026 offload_perception maintainers. License: Apache-2.0. */
/* Fuzz target of the entropy coders, for libFuzzer: see scripts/fuzz.sh.
 *
 * The first bytes of an input choose what is done, the shape and a number; the rest is a stream to
 * decode, or elements to encode and decode again, which have to come back. Every buffer has exactly
 * the size that the coder may use, so that AddressSanitizer sees a step beyond it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../offload_perception/codec/rans.h"

enum { GROUP = 32, BITS = 8, ROWS = 27 * 6, MOST_CHANNELS = 131 };

size_t offload_encode(const uint8_t *, size_t, size_t, size_t, const uint8_t *, const uint8_t *,
                      const int32_t (*)[2], const uint8_t (*)[256], int, const uint16_t (*)[257],
                      uint16_t *, uint8_t *, size_t);
int offload_decode(const uint8_t *, size_t, uint8_t *, size_t, size_t, size_t, const uint8_t *,
                   const uint8_t *, const int32_t (*)[2], const uint8_t (*)[256], int,
                   const uint16_t (*)[257], const uint8_t (*)[256]);
size_t offload_adaptive_encode(const uint8_t *, size_t, size_t, size_t, int, int, const uint16_t *,
                               const uint32_t *, const uint32_t *, uint32_t *, uint8_t *);
int offload_adaptive_decode(const uint8_t *, size_t, uint8_t *, size_t, size_t, size_t, int, int,
                            const uint16_t *, const uint32_t *, const uint32_t *, uint32_t *);

/* What coder.py wrote, in this order. */
static struct {
    uint32_t steepness[104], reciprocal[256];
    int32_t weight[MOST_CHANNELS][2];
    uint16_t start[BITS][ROWS][257], curve[707];
    uint8_t bucket[BITS][ROWS][256], magnitude[2048], predicted[MOST_CHANNELS][256],
        of_channel[MOST_CHANNELS];
} tables;

/* Copies, each in memory of its own. */
static uint16_t (*start[BITS])[257];
static uint8_t (*bucket[BITS])[256];

static const struct {
    size_t channels, height, width;
} shapes[] = {{1, 1, 1},  {3, 1, 1}, {1, 2, 3}, {4, 3, 2}, {5, 2, 3},
              {33, 1, 1}, {32, 1, 2}, {40, 2, 1}, {7, 1, 4}, {2, 5, 1},
#ifdef ALONE /* with several states; under libFuzzer, SMALL is small instead */
              {131, 8, 8}, {32, 16, 16}
#endif
};

static void *room(size_t size) {
    void *p = malloc(size ? size : 1);
    if (!p) abort();
    return p;
}

static void *copy(const void *from, size_t size) { return memcpy(room(size), from, size); }

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *path = getenv("CODER_TABLES");
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file || fread(&tables, sizeof tables, 1, file) != 1 || fgetc(file) != EOF) {
        fprintf(stderr, "CODER_TABLES has to name the file that coder.py writes\n");
        exit(2);
    }
    fclose(file);
    for (int b = 0; b < BITS; b++) {
        start[b] = copy(tables.start[b], sizeof tables.start[b]);
        bucket[b] = copy(tables.bucket[b], sizeof tables.bucket[b]);
    }
    return 0;
}

/* What is done with an input. */
typedef struct {
    size_t channels, height, width, elements;
    const uint8_t *of_channel, *magnitude; /* static: NULL if something else chooses the rows */
    int bits, zero, symbols;
} job_t;

static int decode_static(const job_t *j, const uint8_t *stream, size_t size, uint8_t *out) {
    return offload_decode(stream, size, out, j->channels, j->height, j->width, j->of_channel,
                          j->magnitude, tables.weight, tables.predicted, j->zero,
                          start[j->bits - 1], bucket[j->bits - 1]);
}

static int decode_adaptive(const job_t *j, const uint8_t *stream, size_t size, uint8_t *out) {
    uint32_t *work = room(4 * (4 + j->height) * j->width);
    int broken = offload_adaptive_decode(stream, size, out, j->channels, j->height, j->width,
                                         j->symbols, j->zero, tables.curve, tables.steepness,
                                         tables.reciprocal, work);
    free(work);
    return broken;
}

static size_t encode_static(const job_t *j, const uint8_t *in, uint8_t *out, size_t most) {
    size_t groups = (j->channels + GROUP - 1) / GROUP;
    uint16_t *work = room(2 * groups + GROUP * j->height * j->width);
    size_t unused = offload_encode(in, j->channels, j->height, j->width, j->of_channel,
                                   j->magnitude, tables.weight, tables.predicted, j->zero,
                                   start[j->bits - 1], work, out, most);
    free(work);
    return unused;
}

static size_t encode_adaptive(const job_t *j, const uint8_t *in, uint8_t *out) {
    uint32_t *work = room(4 * (j->elements + (4 + j->height) * j->width));
    size_t unused = offload_adaptive_encode(in, j->channels, j->height, j->width, j->symbols,
                                            j->zero, tables.curve, tables.steepness,
                                            tables.reciprocal, work, out);
    free(work);
    return unused;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    int encodes = data[0] & 1, adaptive = data[0] & 2, chooser = (data[0] >> 2) % 3;
    size_t s = data[1] % (sizeof shapes / sizeof *shapes);
    job_t j = {shapes[s].channels, shapes[s].height, shapes[s].width, 0,
               chooser == 1 ? tables.of_channel : NULL, chooser ? NULL : tables.magnitude,
               chooser ? BITS : 1 + data[2] % BITS, data[2], 256};
    j.elements = j.channels * j.height * j.width;
    if (adaptive) j.symbols = data[2] + 1, j.zero = data[2] / 2;
    data += 3;
    size -= 3;
    uint8_t *given = copy(data, size), *out = room(j.elements);
    if (!encodes) {
        (adaptive ? decode_adaptive : decode_static)(&j, given, size, out);
    } else {
        size_t most = adaptive ? 2 * j.elements + 16 : j.elements + 4 * GROUP;
        uint8_t *in = room(j.elements), *coded = room(most);
        for (size_t i = 0; i < j.elements; i++) in[i] = size ? given[i % size] % j.symbols : 0;
        size_t unused =
            adaptive ? encode_adaptive(&j, in, coded) : encode_static(&j, in, coded, most);
        if (adaptive || unused < most) { /* else the coder found too little room */
            const uint8_t *stream = coded + unused;
            if ((adaptive ? decode_adaptive : decode_static)(&j, stream, most - unused, out) ||
                memcmp(in, out, j.elements)) {
                fprintf(stderr, "what was encoded does not come back\n");
                abort();
            }
        }
        free(in);
        free(coded);
    }
    free(given);
    free(out);
    return 0;
}

#ifdef ALONE /* without libFuzzer: inputs from a file, each after its size in 4 bytes */
int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    uint8_t head[4];
    unsigned inputs = 0;
    LLVMFuzzerInitialize(&argc, &argv);
    while (file && fread(head, 4, 1, file) == 1) {
        size_t size = head[0] | head[1] << 8 | (size_t)head[2] << 16;
        uint8_t *data = room(size);
        if (size && fread(data, size, 1, file) != 1) return 2;
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        inputs++;
    }
    printf("%u\n", inputs);
    return !inputs;
}
#endif
