#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seawall::cli {

/// A command line under the name wal-e, by WAL-E's rules (Python's argparse): global options before the subcommand,
/// options of `delete` before its own one, `--opt value`, `--opt=value`, `-pN`, unambiguous beginnings of long options.
struct WalEArguments {
  std::string command;           ///< "backup-push"; of delete with its own: "delete retain". Empty: none was given
  std::string directory;         ///< backup-push, backup-fetch, wal-prefetch
  std::string name;              ///< of a backup, a segment or what is listed; empty: none
  std::string file;              ///< wal-push, wal-fetch
  std::optional<int> pool_size;  ///< -p; of wal-fetch --prefetch
  std::optional<long long> rate_limit;  ///< bytes per second
  std::optional<int> retain;            ///< delete retain N
  std::string restore_spec;
  bool while_offline = false;
  bool blind_restore = false;
  bool detail = false;
  bool dry_run = false;
  bool confirm = false;

  bool terse = false;
  bool instance_profile = false;
  std::string access_key_id, account_name, s3_prefix, wabs_prefix, gs_prefix, file_prefix, gpg_key_id;

  /// Of our own child that fetches ahead; they are in no help.
  int ahead = 0;        ///< wal-prefetch: so many segments, the named one the first; 0: it alone
  int segment_mib = 0;  ///< their size
};

struct WalEParsed {
  WalEArguments arguments;
  std::vector<std::string> globals;  ///< the words before the subcommand, for a child of ours
  std::string print;                 ///< to stdout; then exit with 0
  std::string complaint;             ///< to stderr; then exit with 2, WAL-E's status for a wrong command line
};

/// `arguments` without the program's name. Throws nothing.
WalEParsed parse_wal_e_arguments(std::span<const char* const> arguments);

}  // namespace seawall::cli
