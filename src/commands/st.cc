// st: single objects of the archive by name.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.hh"
#include "base/time_text.hh"
#include "commands/app.hh"
#include "commands/commands.hh"
#include "commands/table.hh"
#include "manuals/st_cat.hh"
#include "manuals/st_get.hh"
#include "manuals/st_ls.hh"
#include "manuals/st_put.hh"
#include "manuals/st_rm.hh"
#include "manuals/st_stat.hh"
#include "ops/storage_tools.hh"

namespace seawall::commands {
namespace {

constexpr std::string_view target_help = "Only this storage.";
constexpr std::string_view glob_help = "The name is a pattern: *, ? and [a-z], each part between slashes by itself.";

struct ListArgs {
  std::string folder, target;
  bool glob = false, recursive = false, all_versions = false;
};

struct StatArgs {
  std::string name, target;
};

struct CatArgs {
  std::string name, target;
  bool glob = false, decrypt = false, decompress = false;
};

struct GetArgs {
  std::string name, destination, target;
  bool no_decrypt = false, no_decompress = false;
};

struct PutArgs {
  std::vector<std::string> paths;
  std::string target;
  bool no_encrypt = false, no_compress = false, force = false, read_stdin = false;
};

struct RemoveArgs {
  std::string name, target, version_id;
  bool glob = false, all_versions = false;
};

pipeline::Repository open_target(const App& app, const std::string& target) {
  pipeline::Repository repository = app.open_repository();
  refuse_unknown_storage(target, repository);
  return repository;
}

/// WAL-G's table: scripts take the name as the seventh field. Folders have Go's zero time.
void print_entries(const std::vector<ops::StoredEntry>& entries, std::ostream& out) {
  Table table{.heading = {"type", "size", "last modified", "name"}, .rows = {}};
  for (const ops::StoredEntry& entry : entries) {
    std::string about = !entry.version.empty() && entry.latest ? "LATEST" : "";
    if (entry.deleted) about += about.empty() ? "DELETE" : " DELETE";
    table.rows.push_back({entry.folder ? "dir" : "obj", std::to_string(entry.bytes),
                          entry.folder ? "0001-01-01 00:00:00 +0000 UTC" : go_time(entry.modified), entry.name,
                          entry.version, about});
  }
  print_columns(table, out);
}

int run_list(const ListArgs& args, App& app) {
  const pipeline::Repository repository = open_target(app, args.target);
  const ops::ListForm form{.recursive = args.recursive, .all_versions = args.all_versions};
  if (!args.glob) {
    print_entries(ops::list_folder(repository, args.folder, form, app.run), app.out);
    return 0;
  }
  for (const std::string& folder : ops::match_names(repository, args.folder, app.run).folders) {
    app.out << folder << ":\n";
    print_entries(ops::list_folder(repository, folder, form, app.run), app.out);
    app.out << '\n';
  }
  return 0;
}

int run_stat(const StatArgs& args, App& app) {
  print_entries({ops::stat_object(open_target(app, args.target), args.name, app.run)}, app.out);
  return 0;
}

class StreamSink final : public Sink {
 public:
  explicit StreamSink(std::ostream& out) : out_(out) {}
  void write(Bytes data) override {
    const std::string_view text = text_of(data);
    out_.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!out_) throw Error(Errc::io, "standard output cannot be written");
  }

 private:
  std::ostream& out_;
};

/// Bytes of a descriptor that may be a pipe.
class DescriptorSource final : public Source {
 public:
  DescriptorSource(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  std::size_t read(MutableBytes into) override {
    while (true) {
      const ssize_t n = ::read(fd_.get(), into.data(), into.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) throw system_error(errno, name_);
    }
  }

 private:
  Fd fd_;
  std::string name_;
};

int run_cat(const CatArgs& args, App& app) {
  const pipeline::Repository repository = open_target(app, args.target);
  const ops::ReadForm form{.decrypt = args.decrypt, .decompress = args.decompress};
  StreamSink out(app.out);
  std::vector<std::string> names{args.name};
  if (args.glob) names = ops::match_names(repository, args.name, app.run).objects;
  for (const std::string& name : names) ops::read_object(repository, name, form, out, app.run);
  return 0;
}

int run_get(const GetArgs& args, App& app) {
  if (args.target == "all") throw Error(Errc::usage, "st get reads from one storage: '--target all' names several");
  ops::get_object(open_target(app, args.target), args.name, args.destination,
                  {.decrypt = !args.no_decrypt, .decompress = !args.no_decompress}, app.run);
  return 0;
}

int run_put(const PutArgs& args, App& app) {
  const std::size_t wanted = args.read_stdin ? 1 : 2;
  if (args.paths.size() != wanted) {
    throw Error(Errc::usage,
                fmt::format("st put needs {}, but {} arguments were given",
                            args.read_stdin ? "one name with --read-stdin" : "a file and a name", args.paths.size()));
  }
  const pipeline::Repository repository = open_target(app, args.target);
  const std::string source = args.read_stdin ? "standard input" : args.paths.front();
  Fd fd = args.read_stdin ? Fd(::dup(STDIN_FILENO)) : open_file(source, O_RDONLY);
  const struct stat status = stat_of(fd, source);
  if (S_ISDIR(status.st_mode)) throw Error(Errc::usage, source + " is a directory");
  const auto bytes = S_ISREG(status.st_mode) ? std::optional(static_cast<std::uint64_t>(status.st_size)) : std::nullopt;
  DescriptorSource from(std::move(fd), source);
  ops::put_object(repository, from, args.paths.back(),
                  {.compress = !args.no_compress, .encrypt = !args.no_encrypt, .overwrite = args.force}, bytes,
                  app.run);
  return 0;
}

int run_remove(const RemoveArgs& args, App& app) {
  if (!args.version_id.empty() && (args.all_versions || args.glob)) {
    throw Error(Errc::usage,
                "--version-id means one version of one object: neither --all-versions nor --glob go with it");
  }
  const pipeline::Repository repository = open_target(app, args.target);
  if (!args.version_id.empty()) {
    ops::remove_version(repository, args.name, args.version_id, app.run);
    return 0;
  }
  if (!args.glob) {
    ops::remove_objects(repository, args.name, args.all_versions, app.run);
    return 0;
  }
  const ops::Matches matches = ops::match_names(repository, args.name, app.run);
  for (const auto* names : {&matches.objects, &matches.folders}) {
    for (const std::string& name : *names) ops::remove_objects(repository, name, args.all_versions, app.run);
  }
  return 0;
}

}  // namespace

std::unique_ptr<cli::AnyCommand> st_ls_command() {
  return cli::make_command<ListArgs>({
      .name = "st ls",
      .summary = "List a folder of the archive",
      .manual = manuals::st_ls,
      .positionals = {{"folder", "", "Folder within the archive; the archive itself without it.", &ListArgs::folder}},
      .options = {{"recursive", "", "Everything below the folder, objects alone.", &ListArgs::recursive, 'r'},
                  {"all-versions", "", "Overwritten and deleted versions too, where the storage keeps them.",
                   &ListArgs::all_versions},
                  {"glob", "", glob_help, &ListArgs::glob, 'g'},
                  {"target", "NAME", target_help, &ListArgs::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::not_found},
      .run = run_list,
  });
}

std::unique_ptr<cli::AnyCommand> st_stat_command() {
  return cli::make_command<StatArgs>({
      .name = "st stat",
      .summary = "Show size and time of one object",
      .manual = manuals::st_stat,
      .positionals = {{"name", "", "The object.", &StatArgs::name, 0, true}},
      .options = {{"target", "NAME", target_help, &StatArgs::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::not_found},
      .run = run_stat,
  });
}

std::unique_ptr<cli::AnyCommand> st_cat_command() {
  return cli::make_command<CatArgs>({
      .name = "st cat",
      .summary = "Print an object",
      .manual = manuals::st_cat,
      .positionals = {{"name", "", "The object.", &CatArgs::name, 0, true}},
      .options = {{"decrypt", "", "Decrypted, as the settings say.", &CatArgs::decrypt},
                  {"decompress", "", "Decompressed, by the name's extension.", &CatArgs::decompress},
                  {"glob", "", glob_help, &CatArgs::glob, 'g'},
                  {"target", "NAME", target_help, &CatArgs::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::not_found, Errc::corrupt},
      .run = run_cat,
  });
}

std::unique_ptr<cli::AnyCommand> st_get_command() {
  return cli::make_command<GetArgs>({
      .name = "st get",
      .summary = "Copy an object into a file",
      .manual = manuals::st_get,
      .positionals = {{"name", "", "The object.", &GetArgs::name, 0, true},
                      {"destination", "", "A new file, or the directory for it.", &GetArgs::destination, 0, true}},
      .options = {{"no-decrypt", "", "Leave it encrypted.", &GetArgs::no_decrypt},
                  {"no-decompress", "", "Leave it compressed.", &GetArgs::no_decompress},
                  {"target", "NAME", target_help, &GetArgs::target, 't'}},
      .fails_with = {Errc::config, Errc::denied, Errc::network, Errc::not_found, Errc::exists, Errc::corrupt},
      .run = run_get,
  });
}

std::unique_ptr<cli::AnyCommand> st_put_command() {
  return cli::make_command<PutArgs>({
      .name = "st put",
      .summary = "Copy a file into the archive",
      .manual = manuals::st_put,
      .positionals = {{"paths", "", "The file, unless --read-stdin is given, and the object's name.", &PutArgs::paths}},
      .options = {{"force", "", "Overwrite what is there.", &PutArgs::force, 'f'},
                  {"read-stdin", "", "Take the content from standard input.", &PutArgs::read_stdin, 's'},
                  {"no-compress", "", "Store it uncompressed, under the name as it is.", &PutArgs::no_compress},
                  {"no-encrypt", "", "Store it unencrypted.", &PutArgs::no_encrypt},
                  {"target", "NAME", target_help, &PutArgs::target, 't'}},
      .fails_with = {Errc::usage, Errc::config, Errc::denied, Errc::network, Errc::exists, Errc::no_space},
      .run = run_put,
  });
}

std::unique_ptr<cli::AnyCommand> st_rm_command() {
  return cli::make_command<RemoveArgs>({
      .name = "st rm",
      .summary = "Remove an object or a folder from the archive",
      .manual = manuals::st_rm,
      .positionals = {{"name", "", "Object or folder.", &RemoveArgs::name, 0, true}},
      .options = {{"all-versions", "", "With every version that the storage keeps.", &RemoveArgs::all_versions},
                  {"version-id", "ID", "Only this version of the object.", &RemoveArgs::version_id},
                  {"glob", "", glob_help, &RemoveArgs::glob, 'g'},
                  {"target", "NAME", target_help, &RemoveArgs::target, 't'}},
      .fails_with = {Errc::usage, Errc::config, Errc::denied, Errc::network, Errc::not_found, Errc::unsupported},
      .run = run_remove,
  });
}

}  // namespace seawall::commands
