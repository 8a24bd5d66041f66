#include "ops/mark_backup.hh"

#include <fmt/format.h>

#include <array>

#include "archive/layout.hh"
#include "archive/permanence.hh"

namespace seawall::ops {
namespace {

void mark(const pipeline::Repository& repository, const std::string& backup, bool permanent, const Run& run) {
  const std::string object = archive::metadata_object(backup);
  const std::string key = repository.key(object);
  storage::ObjectInfo read;
  StringSink text;
  {
    const std::unique_ptr<Source> source = repository.store->try_open(key, {.opened = &read}, run.stop);
    if (!source) throw Error(Errc::not_found, fmt::format("{} is gone since it was listed", object));
    std::array<std::byte, 4096> buffer;
    while (const std::size_t n = source->read(buffer)) text.write(Bytes(buffer).first(n));
  }
  const std::string marked = archive::with_permanence(text.text(), permanent, object);
  try {
    repository.store->put(key, bytes_of(marked), {.if_version = read.version}, run.stop);
  } catch (Error& error) {
    throw error.during(fmt::format("mark {}", backup));
  }
}

}  // namespace

std::vector<std::string> mark_backup(const pipeline::Repository& repository, std::string_view name, bool permanent,
                                     const CatalogueRequest& request, const Run& run) {
  CatalogueRequest wanted = request;
  wanted.backups = CatalogueRequest::Backups::sentinels;
  wanted.wal = false;
  wanted.others = false;
  const archive::Catalogue catalogue = load_catalogue(repository, wanted, run);
  std::vector<std::string> marked;
  for (const std::size_t backup : archive::backups_to_mark(catalogue, name, permanent)) {
    run.check();
    mark(repository, catalogue.backups()[backup].name, permanent, run);
    marked.push_back(catalogue.backups()[backup].name);
  }
  return marked;
}

}  // namespace seawall::ops
