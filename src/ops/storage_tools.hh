#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/run.hh"
#include "pipeline/repository.hh"

/// Single objects of an archive by name: what `seawall st` does. Names are relative to the repository's prefix; slashes
/// at either end and "." are passed over, ".." is Errc::usage.
namespace seawall::ops {

struct StoredEntry {
  std::string name;
  bool folder = false;
  std::uint64_t bytes = 0;
  Time modified{};
  std::string version;  ///< only where all versions are listed and the store keeps them
  bool latest = true;
  bool deleted = false;  ///< a deletion mark
};

struct ListForm {
  bool recursive = false;
  bool all_versions = false;
};

/// Folders first, then objects, each in the order of names, relative to `folder`; recursive: objects alone, those of
/// a level before those of the level below. Empty if nothing is there. Errc::not_found if it is an object.
/// Memory: one entry for each.
std::vector<StoredEntry> list_folder(const pipeline::Repository& repository, std::string_view folder, ListForm form,
                                     const Run& run);

/// By one request. Errc::not_found if absent.
StoredEntry stat_object(const pipeline::Repository& repository, std::string_view name, const Run& run);

/// What a pattern stands for: each part of it between slashes by itself, as glob_match() has it.
struct Matches {
  std::vector<std::string> objects;
  std::vector<std::string> folders;  ///< with a slash at the end; "" is the archive
};
/// Errc::usage if the pattern is malformed.
Matches match_names(const pipeline::Repository& repository, std::string_view pattern, const Run& run);

struct ReadForm {
  bool decrypt = false;     ///< nothing happens without a configured method
  bool decompress = false;  ///< by the name; one that names no method gives a warning and the stored bytes
};
/// Streams the object. Errc::not_found if absent.
void read_object(const pipeline::Repository& repository, std::string_view name, ReadForm form, Sink& to,
                 const Run& run);
/// Into a new file of mode 0640, in `path` under its own name if that is a directory. Whole or not at all.
/// Errc::exists if the file is there.
void get_object(const pipeline::Repository& repository, std::string_view name, const std::filesystem::path& path,
                ReadForm form, const Run& run);

struct WriteForm {
  bool compress = true;  ///< adds the method's suffix to the name
  bool encrypt = true;
  bool overwrite = false;
};
/// Streams `from` into an object and gives its name. Errc::exists if it is there and is not to be overwritten.
std::string put_object(const pipeline::Repository& repository, Source& from, std::string_view name, WriteForm form,
                       std::optional<std::uint64_t> expected_bytes, const Run& run);

/// The object of that name, else everything in the folder of that name, with all their versions if asked for.
/// Errc::not_found if there is neither, Errc::usage for the archive as a whole. Gives the number of what was removed.
std::size_t remove_objects(const pipeline::Repository& repository, std::string_view name, bool all_versions,
                           const Run& run);
/// Errc::unsupported if the store keeps no versions.
void remove_version(const pipeline::Repository& repository, std::string_view name, const std::string& version,
                    const Run& run);

}  // namespace seawall::ops
