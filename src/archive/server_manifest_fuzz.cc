#include <cstddef>
#include <cstdint>

#include "archive/server_manifest.hh"
#include "base/error.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  seawall::MemorySource source(std::as_bytes(std::span(data, size)));
  try {
    seawall::archive::read_server_manifest(source, "fuzz", [](const seawall::archive::ServerManifestFile& file) {
      if (file.path.empty()) __builtin_trap();
    });
  } catch (const seawall::Error&) {
  }
  return 0;
}
