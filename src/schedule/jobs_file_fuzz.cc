#include "base/error.hh"
#include "schedule/jobs_file.hh"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(data, data + size);
  try {
    seawall::schedule::parse_jobs_file(text, "fuzz");
  } catch (const seawall::Error&) {
    // What is no file of jobs is said to be none.
  }
  return 0;
}
