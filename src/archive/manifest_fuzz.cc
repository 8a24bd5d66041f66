#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "archive/manifest.hh"
#include "base/error.hh"

namespace {

using namespace seawall;

std::string print(const archive::Manifest& manifest) {
  StringSink out;
  archive::ManifestWriter writer(out, manifest.header);
  for (const archive::ManifestObject& object : manifest.objects) writer.object(object);
  writer.finish();
  return std::move(out.text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string once;
  try {
    MemorySource source(std::as_bytes(std::span(data, size)));
    once = print(archive::read_manifest(source, "fuzz"));
  } catch (const Error&) {
    return 0;
  }
  try {
    MemorySource source(std::as_bytes(std::span(data, size)));
    std::size_t names = 0;
    archive::read_manifest(source, "fuzz", [&](const archive::ManifestObject&, const archive::ManifestMember& member) {
      names += member.name.size();
    });
    if (names > size) std::abort();
  } catch (const Error&) {
  }
  MemorySource again(bytes_of(once));
  if (print(archive::read_manifest(again, "fuzz")) != once) std::abort();
  return 0;
}
