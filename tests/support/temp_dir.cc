#include "support/temp_dir.hh"

#include <cstdlib>
#include <stdexcept>

namespace seawall::test {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "seawall-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory: " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace seawall::test
