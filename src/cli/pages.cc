#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hh"
#include "cli/detail/declared.hh"
#include "cli/detail/layout.hh"
#include "cli/exit_status.hh"
#include "cli/program.hh"
#include "config/known_keys.hh"

namespace seawall::cli {
namespace {

using detail::table_cell;

/// Sections of docs/settings.md; a setting belongs to the first with a word that its name holds.
struct Topic {
  std::string_view title;
  std::array<std::string_view, 16> words;
};
constexpr auto topics = std::to_array<Topic>({
    {"Encryption", {"PGP", "GPG", "LIBSODIUM", "_KMS_", "ENVELOPE", "YC_"}},
    {"Failover", {"FAILOVER", "TARGET_STORAGE"}},
    {"Storage", {"_PREFIX", "S3_", "AWS_", "GCS_", "GOOGLE", "AZURE", "OSS_", "OS_", "SSH_", "SWIFT", "FILE_STORAGE"}},
    {"Compression", {"COMPRESSION", "ZSTD", "CODEC"}},
    {"Speed and limits", {"CONCURRENCY", "RATE_LIMIT", "UPLOAD_QUEUE", "DIRECT_IO", "RETRIES", "RETRY", "MEMORY"}},
    {"WAL",
     {"PREFETCH", "PREVENT_WAL", "TOTAL_BG", "PG_READY", "WAL_METADATA", "WAL_SIZE", "WAL_PAGE", "WAL_FETCH",
      "WAL_PUSH", "SLOTNAME", "DELAYED_WALS", "RECEIPT", "DAEMON"}},
    {"Logging and monitoring", {"LOG_", "STATSD", "PROFILE", "HTTP_", "NOTIFY", "PROGRESS"}},
    {"Database and connection",
     {"PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGPASS", "PGSSL", "PGAPPNAME", "ALIVE_CHECK", "STOP_BACKUP",
      "BLOCK_SIZE", "TIMEOUT"}},
    {"Backups and restores", {""}},
});

std::string_view topic_of(std::string_view name) {
  for (const Topic& topic : topics) {
    for (const std::string_view word : topic.words) {
      if (!word.empty() && name.find(word) != std::string_view::npos) return topic.title;
    }
  }
  return topics.back().title;
}

std::string joined_code(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += fmt::format("{}`{}`", text.empty() ? "" : ", ", word);
  return text;
}

std::string setting_row(const config::SettingBase& setting) {
  const auto about = setting.describe();
  const auto names = detail::spellings(about);
  std::string type(setting.type());
  if (about.range) type += fmt::format(", {} to {}", about.range->first, about.range->second);
  std::string text(about.doc);
  if (names.size() > 1) text += fmt::format(" Also {}.", joined_code({names.begin() + 1, names.end()}));
  if (about.secret) text += " Secret: never shown.";
  const std::string initial = about.initial.empty() ? "–" : fmt::format("`{}`", about.initial);
  return fmt::format("| `{}` | {} | {} | {} |\n", about.name, table_cell(type), table_cell(initial), table_cell(text));
}

std::string accepted_keys(const Program& program) {
  std::string rows;
  for (const config::KnownKey& key : config::known_keys()) {
    const auto names = config::spellings(key);
    if (detail::find_setting(program, names.front()) != nullptr) continue;
    rows += fmt::format("| {} | {} |\n", joined_code(names), table_cell(key.doc));
  }
  return rows;
}

std::string option_table(const std::vector<AnyCommand::OptionInfo>& options) {
  std::string rows;
  for (const auto& option : options) {
    const std::string letter = option.letter != 0 ? fmt::format("`-{}`, ", option.letter) : std::string();
    const std::string value = option.value.empty() ? std::string() : fmt::format(" {}", option.value);
    rows += fmt::format("| {}`--{}{}` | {} |\n", letter, option.name, table_cell(value), table_cell(option.help));
  }
  return rows;
}

std::string exit_table(const AnyCommand& command) {
  std::string rows = "| 0 | success |\n";
  if (is_walg_command(command.name())) return rows + "| 1 | failure; the log names the cause |\n";
  for (const Errc code : command.fails_with()) {
    rows += fmt::format("| {} | `{}` |\n", exit_status(command.name(), code), info(code).name);
  }
  return rows;
}

}  // namespace

std::string settings_page(const Program& program) {
  std::string page = fmt::format(
      "# Settings\n\n"
      "This page is printed by the program from its declarations; do not edit it.\n\n"
      "A setting is taken from the first of: its flag (the name in lower case with `-` for `_`), the environment, the\n"
      "settings file, its default. The file is the one given with `--config`, else the one that `WALG_CONFIG_PATH` "
      "names,\nelse `~/.walg.json` (or `.yaml`, `.yml`, `.toml`). An empty environment variable counts as unset. "
      "`PG*` and `AWS_*`\nkeys of the file are put into the environment.\n\n"
      "Booleans are `true` or `false` (also `1`, `t`, `0`, `f`), durations are written like `90s` or `1h30m`, sizes "
      "are\n"
      "bytes, plain or with `kb`, `mb` or `gb` (1024). `{} help NAME` shows a setting's value and where it came "
      "from.\n",
      program.name);
  for (const Topic& topic : topics) {
    std::string rows;
    for (const config::SettingBase* setting : program.settings) {
      if (topic_of(setting->describe().name) == topic.title) rows += setting_row(*setting);
    }
    if (rows.empty()) continue;
    page += fmt::format("\n## {}\n\n| Name | Type | Default | Meaning |\n|---|---|---|---|\n{}", topic.title, rows);
  }
  const std::string accepted = accepted_keys(program);
  if (!accepted.empty()) {
    page += fmt::format(
        "\n## Accepted, not used by this version itself\n\n"
        "A configuration for WAL-G may hold these: they cause no warning and have no effect here, except that `PG*` "
        "and\n`AWS_*` reach the libraries that read them.\n\n| Name | Meaning in WAL-G |\n|---|---|\n{}",
        accepted);
  }
  return page;
}

std::string exit_codes_page(const Program& program) {
  std::string page =
      "# Exit codes\n\n"
      "This page is printed by the program from its declarations; do not edit it.\n\n"
      "Every command exits with 0 when it did all that was asked. A command that WAL-G has too exits with 1 "
      "otherwise,\n"
      "since scripts know no other status from it; its log line and `--log-format json` tell the cause. `wal-fetch`\n"
      "speaks to PostgreSQL and has statuses of its own: see its manual. Our own commands exit with the number below.\n"
      "\n| Status | Name | May succeed later, unchanged | What to try |\n|---|---|---|---|\n";
  for (const ErrcInfo& row : all_errcs()) {
    page += fmt::format("| {} | `{}` | {} | {} |\n", row.exit_status, row.name, row.retryable ? "yes" : "no",
                        table_cell(row.hint));
  }
  page += "\n## Causes by command\n\n| Command | Status | Causes |\n|---|---|---|\n";
  for (const auto& command : program.commands) {
    if (command->hidden()) continue;
    std::vector<std::string> causes;
    for (const Errc code : command->fails_with()) causes.emplace_back(info(code).name);
    page += fmt::format("| `{}` | {} | {} |\n", command->name(), is_walg_command(command->name()) ? "1" : "as above",
                        joined_code(causes));
  }
  return page;
}

std::string manual_page(const Program& program, const AnyCommand& command) {
  const std::string manual(trim(command.manual()));
  std::string page;
  if (!manual.starts_with("# ")) page += fmt::format("# {}\n\n{}.\n\n", command.name(), command.summary());
  if (!manual.empty()) page += manual + "\n\n";
  page += fmt::format("## Synopsis\n\n    {} {}\n", program.name, detail::usage_of(command));
  std::string rows;
  for (const auto& positional : command.positionals()) {
    rows += fmt::format("| `{}` | {}{} |\n", detail::placeholder(positional), positional.required ? "" : "Optional. ",
                        table_cell(positional.help));
  }
  if (!rows.empty()) page += "\n## Arguments\n\n| Argument | Meaning |\n|---|---|\n" + rows;
  rows = option_table(command.options());
  if (!rows.empty()) page += "\n## Options\n\n| Option | Meaning |\n|---|---|\n" + rows;
  page +=
      "\nOptions of every command: `--config PATH`, `--turbo`, `--log-format text|json`, `--help`; every\n"
      "[setting](../settings.md) is an option too.\n";
  return page + "\n## Exit status\n\n| Status | Meaning |\n|---|---|\n" + exit_table(command);
}

}  // namespace seawall::cli
