#include "commands/backup_json.hh"

#include <fmt/format.h>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::commands {

std::string backup_json(std::string_view name, Time modified, std::string_view storage,
                        const std::optional<archive::BackupMetadata>& metadata) {
  std::string text = fmt::format(R"({{"backup_name":{},"time":"{}","wal_file_name":{},"storage_name":{})",
                                 json_string(name, true), rfc3339_nano_local(modified),
                                 json_string(archive::segment_name_of_backup(name), true), json_string(storage, true));
  if (metadata) text += ',' + archive::metadata_members(*metadata);
  return text + '}';
}

}  // namespace seawall::commands
