// What libFuzzer calls, for every target.
#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rnd1::fuzz::Input input(data, size);
  rnd1::fuzz::run(input);
  return 0;
}
