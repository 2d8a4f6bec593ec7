/* Runs a harness over the files that are named, without libFuzzer: with any compiler and any of its options, as here to
 * see which branches a corpus takes.
 *
 *   gcc --coverage -D_GNU_SOURCE -I. fuzz/replay.c fuzz/fuzz_policy.c csrc/shim/{request,policy}.c -o build/replay
 *   find fuzz/corpus/policy -type f -exec build/replay {} + */
#include "fuzz/oracle.h"

int main(int argc, char *argv[])
{
    static uint8_t data[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *const file = fopen(argv[i], "rb");
        MUST(file);
        const size_t size = fread(data, 1, sizeof data, file);
        MUST(feof(file) && fclose(file) == 0);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
